//! Behaviour of the engine, by subject.
