//! Counts the heap operations of the bare server on one keep-alive connection, and prints them as JSON.
//!
//! The server's thread is the only one that works between the two readings: the client sends and receives through
//! buffers made before the first.

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;

use bustapi_bare::Server;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const REQUESTS: usize = 10_000;
const REQUEST: &[u8] = b"GET /json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

fn main() -> std::io::Result<()> {
    let mut server = Server::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let address = server.local_addr()?;
    thread::spawn(move || server.run());
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut answer = [0; 4096];
    stream.write_all(REQUEST)?;
    let len = stream.read(&mut answer)?;
    let region = Region::new(ALLOCATOR);
    for _ in 0..REQUESTS {
        stream.write_all(REQUEST)?;
        stream.read_exact(&mut answer[..len])?;
    }
    let change = region.change();
    println!(
        "{{\"requests\":{REQUESTS},\"allocations\":{},\"reallocations\":{}}}",
        change.allocations, change.reallocations
    );
    Ok(())
}
