//! Plans: their text, their memory, and both CPU executors on them.

mod executors;
mod golden;
mod memory;
