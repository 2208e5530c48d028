//! Lists in which rules look things up, and their items.
