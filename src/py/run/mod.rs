//! Requests run as Python calls: which view, in which way, and what its result means.

mod answers;
pub mod body;
mod books;
mod eager;
pub mod file;
pub mod folder;
mod handing;
pub mod host;
pub mod invoke;
pub mod link;
pub mod loopback;
pub mod open;
pub mod plan;
pub mod planner;
pub mod pool;
pub mod reply;
pub mod response;
mod runner;
pub mod service;
pub mod sink;
pub mod socket;
mod spare;
pub mod stream;
pub mod task;
pub mod waiter;
pub mod watch;
pub mod watchdog;
