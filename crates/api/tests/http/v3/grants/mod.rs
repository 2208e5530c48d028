mod attachments;
mod folders;
mod grant;
mod list;
mod messages;
mod send;
mod threads;

pub(crate) const ROUTES: &[&[&str]] = &[
    attachments::ROUTES,
    folders::ROUTES,
    grant::ROUTES,
    list::ROUTES,
    messages::ROUTES,
    send::ROUTES,
    threads::ROUTES,
];
