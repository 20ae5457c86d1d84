//! `bare [--port N]`: serves on 127.0.0.1, says where, and runs until it is killed.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use bustapi_bare::Server;

// The allocator of the measured server, so that the JSON echo compares parsers and not allocators.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let port = match (args.next().as_deref(), args.next()) {
        (None, _) => Some(0),
        (Some("--port"), Some(port)) => port.parse().ok(),
        _ => None,
    };
    let Some(port) = port else {
        eprintln!("usage: bare [--port N]");
        return ExitCode::from(2);
    };
    match serve(port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(port: u16) -> std::io::Result<()> {
    let mut server = Server::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    println!("listening on http://{}", server.local_addr()?);
    server.run()
}
