//! A load of WebSocket messages: each connection sends a text of 64 bytes, and the next one when it has come back.
//!
//! Written here and not in the script that asks for it, for a load that is slower than the server measures itself: the
//! server then waits for it, and one message in a hundred thousand pays for many ends of a wait. It sleeps between the
//! messages, as wrk does; with `--spin yes` it never sleeps, so that no server has to wake it.
//!
//! It says `ready` when the warm-up is over, waits for a line on its standard input, and reports a run as JSON:
//! messages, seconds, and its own share of its processor, which must stay below 1 for the figure to be the server's.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

const USAGE: &str =
    "usage: echoload --port N [--connections N] [--seconds S] [--warmup S] [--spin yes]";
const TEXT: usize = 64;
/// A server that sends nothing for so long has stopped.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let Some(plan) = Plan::from_args(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match measure(&plan) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("echoload: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Plan {
    port: u16,
    connections: usize,
    seconds: f64,
    warmup: f64,
    spin: bool,
}

impl Plan {
    fn from_args(mut args: impl Iterator<Item = String>) -> Option<Self> {
        let mut plan = Self {
            port: 0,
            connections: 64,
            seconds: 2.0,
            warmup: 0.5,
            spin: false,
        };
        while let Some(name) = args.next() {
            let value = args.next()?;
            match name.as_str() {
                "--port" => plan.port = value.parse().ok()?,
                "--connections" => plan.connections = value.parse().ok()?,
                "--seconds" => plan.seconds = value.parse().ok()?,
                "--warmup" => plan.warmup = value.parse().ok()?,
                "--spin" if value == "yes" => plan.spin = true,
                _ => return None,
            }
        }
        let sane = plan.port > 0
            && plan.connections > 0
            && plan.seconds.is_finite()
            && plan.seconds > 0.0
            && plan.warmup.is_finite()
            && plan.warmup >= 0.0;
        sane.then_some(plan)
    }
}

fn measure(plan: &Plan) -> io::Result<String> {
    let mut load = Load::connect(plan)?;
    load.run(plan.warmup)?;
    println!("ready");
    io::stdin().lock().read_line(&mut String::new())?;
    let (begun, used) = (Instant::now(), own_ticks()?);
    let messages = load.run(plan.seconds)?;
    let seconds = begun.elapsed().as_secs_f64();
    let ticks = own_ticks()? - used;
    Ok(format!(
        "{{\"messages\":{messages},\"seconds\":{seconds:.6},\"own_ticks\":{ticks}}}"
    ))
}

struct Load {
    poll: Poll,
    events: Events,
    streams: Vec<(TcpStream, usize)>,
    sent: Vec<u8>,
    echoed: Vec<u8>,
    spin: bool,
}

impl Load {
    fn connect(plan: &Plan) -> io::Result<Self> {
        let poll = Poll::new()?;
        let text = [b'x'; TEXT];
        // A mask of zeros leaves the text as it is.
        let mut sent = vec![0x81, 0x80 | TEXT as u8, 0, 0, 0, 0];
        sent.extend_from_slice(&text);
        let mut echoed = vec![0x81, TEXT as u8];
        echoed.extend_from_slice(&text);
        let mut streams = Vec::with_capacity(plan.connections);
        for index in 0..plan.connections {
            let mut stream = TcpStream::from_std(shake_hands(plan.port)?);
            poll.registry()
                .register(&mut stream, Token(index), Interest::READABLE)?;
            send(&mut stream, &sent)?;
            streams.push((stream, 0));
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            streams,
            sent,
            echoed,
            spin: plan.spin,
        })
    }

    /// How many messages came back in a time.
    fn run(&mut self, seconds: f64) -> io::Result<u64> {
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        let wait = if self.spin { Duration::ZERO } else { PATIENCE };
        let mut heard = Instant::now();
        let mut count = 0;
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(count);
            }
            match self.poll.poll(&mut self.events, Some(wait)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            if !self.events.is_empty() {
                heard = now;
            } else if now - heard >= PATIENCE {
                return Err(ErrorKind::TimedOut.into());
            }
            for event in &self.events {
                let (stream, received) = &mut self.streams[event.token().0];
                if receive(stream, received, &self.echoed)? {
                    send(stream, &self.sent)?;
                    count += 1;
                }
            }
        }
    }
}

/// Reads what has come; `true`: the message is whole. There is never more than one under way.
fn receive(stream: &mut TcpStream, received: &mut usize, echoed: &[u8]) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(size) => {
                let expected = echoed.get(*received..*received + size);
                if expected != Some(&buffer[..size]) {
                    return Err(invalid("something else than the message came back"));
                }
                *received += size;
                if *received == echoed.len() {
                    *received = 0;
                    return Ok(true);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// One small message fits every socket buffer that has nothing outstanding.
fn send(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    if stream.write(message)? != message.len() {
        return Err(invalid("a message did not fit its socket buffer"));
    }
    Ok(())
}

fn shake_hands(port: u16) -> io::Result<std::net::TcpStream> {
    let mut stream = std::net::TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
    if !answer.starts_with(b"HTTP/1.1 101 ") {
        return Err(invalid("the handshake was not answered with 101"));
    }
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// User and system time of this process so far, in ticks of `sysconf(_SC_CLK_TCK)` a second.
fn own_ticks() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    // proc(5), after the command: utime and stime are fields 14 and 15.
    let fields = text.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    Ok(ticks.filter_map(|field| field.parse::<u64>().ok()).sum())
}

fn invalid(text: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, text)
}
