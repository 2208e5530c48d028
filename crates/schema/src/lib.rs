//! JSON shapes of the public interface.
