pub(crate) mod custom;
