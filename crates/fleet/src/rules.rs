//! Rules about mail, and which of them a workspace uses.
