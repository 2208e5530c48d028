//! The HTTP interface in one process: no sockets, no waiting. One file for each resource, at the path that it has in
//! the interface; every file lists the routes that it speaks for.

mod conform;
mod fixtures;
mod support;

mod arbitrary;
mod connections;
mod differential;
mod edges;
mod isolation;
mod node;
mod openapi;
mod remembered;
mod routes;
mod select;
mod v3;
