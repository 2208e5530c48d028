//! The HTTP interface in one process: no sockets, no waiting. One file for each resource, at the path that it has in
//! the interface; every file lists the routes that it speaks for.

mod support;

mod arbitrary;
mod node;
mod routes;
mod v3;
