//! An open-loop load generator: requests leave at a fixed rate whatever the answers do, and latency counts from the
//! moment a request was due, not from when it could be sent. A stalled server is thus charged for every request
//! that was due during its stall (no coordinated omission).
//!
//! With `--closed yes` each connection sends as soon as it was answered instead: that measures no latency worth
//! quoting, but shows by the counts per connection whether one is starved.
//!
//! It spins instead of sleeping, since a poll's timeout is coarser than the times it measures: give it its own core.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

const USAGE: &str = "usage: openloop --port N (--rate RPS | --closed yes) [--path P] [--connections N] \
                     [--seconds S] [--warmup S]";
/// How long the last answers are waited for.
const DRAIN: Duration = Duration::from_secs(5);
const TOP_NANOS: u64 = 120_000_000_000;

fn main() -> ExitCode {
    let Some(plan) = Plan::from_args(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match Run::start(&plan).and_then(|mut run| run.complete()) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("openloop: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Plan {
    port: u16,
    /// Requests a second; infinite in the closed loop, where a request is due when its connection is idle.
    rate: f64,
    path: String,
    connections: usize,
    seconds: f64,
    warmup: f64,
}

impl Plan {
    fn from_args(mut args: impl Iterator<Item = String>) -> Option<Self> {
        let mut plan = Self {
            port: 0,
            rate: 0.0,
            path: "/json".to_owned(),
            connections: 64,
            seconds: 4.0,
            warmup: 0.5,
        };
        while let Some(name) = args.next() {
            let value = args.next()?;
            match name.as_str() {
                "--port" => plan.port = value.parse().ok()?,
                "--rate" => plan.rate = value.parse().ok()?,
                "--closed" if value == "yes" => plan.rate = f64::INFINITY,
                "--path" => plan.path = value,
                "--connections" => plan.connections = value.parse().ok()?,
                "--seconds" => plan.seconds = value.parse().ok()?,
                "--warmup" => plan.warmup = value.parse().ok()?,
                _ => return None,
            }
        }
        let sane = plan.port > 0
            && plan.connections > 0
            && plan.rate >= 1.0
            && plan.seconds.is_finite()
            && plan.seconds > 0.0
            && plan.warmup.is_finite()
            && plan.warmup >= 0.0;
        sane.then_some(plan)
    }
}

struct Run<'a> {
    plan: &'a Plan,
    poll: Poll,
    request: Vec<u8>,
    /// Bytes of one whole answer; the same for all, as the benched answers are constant.
    answer_len: usize,
    clients: Vec<Client>,
    idle: VecDeque<usize>,
    latency: Histogram<u64>,
    /// Due to sent: shows when the generator or a lack of idle connections held a request back.
    lag: Histogram<u64>,
    answered: u64,
}

struct Client {
    stream: TcpStream,
    /// Nanoseconds after the start at which the outstanding request was due.
    due: u64,
    received: usize,
    answered: u64,
}

impl<'a> Run<'a> {
    fn start(plan: &'a Plan) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, plan.port));
        let request = format!("GET {} HTTP/1.1\r\nHost: {address}\r\n\r\n", plan.path).into_bytes();
        let answer_len = probe(address, &request)?;
        let poll = Poll::new()?;
        let mut clients = Vec::with_capacity(plan.connections);
        for index in 0..plan.connections {
            let stream = std::net::TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry()
                .register(&mut stream, Token(index), Interest::READABLE)?;
            clients.push(Client {
                stream,
                due: 0,
                received: 0,
                answered: 0,
            });
        }
        let histogram = || Histogram::new_with_bounds(1, TOP_NANOS, 3).map_err(io::Error::other);
        Ok(Self {
            plan,
            poll,
            request,
            answer_len,
            idle: (0..plan.connections).collect(),
            clients,
            latency: histogram()?,
            lag: histogram()?,
            answered: 0,
        })
    }

    fn complete(&mut self) -> io::Result<String> {
        let closed = self.plan.rate.is_infinite();
        let length = self.plan.warmup + self.plan.seconds;
        let warmup = (self.plan.warmup * 1e9) as u64;
        let end = (length * 1e9) as u64;
        let interval = 1e9 / self.plan.rate;
        let mut total = if closed {
            u64::MAX
        } else {
            (self.plan.rate * length) as u64
        };
        let deadline = Duration::from_secs_f64(length) + DRAIN;
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; self.answer_len.max(16 * 1024)];
        let mut sent = 0_u64;
        let start = Instant::now();
        while self.answered < total && start.elapsed() < deadline {
            while sent < total {
                let now = nanos(start);
                let due = if closed {
                    now
                } else {
                    (sent as f64 * interval) as u64
                };
                if closed && now >= end {
                    total = sent;
                }
                if due > now || sent == total {
                    break;
                }
                // Without an idle connection the request waits, and its latency runs from `due` all the same.
                let Some(index) = self.idle.pop_front() else {
                    break;
                };
                let client = &mut self.clients[index];
                client.due = due;
                client.received = 0;
                // One small request fits every socket buffer that has nothing outstanding.
                if client.stream.write(&self.request)? != self.request.len() {
                    let text = "a request did not fit its socket buffer";
                    return Err(io::Error::new(ErrorKind::WriteZero, text));
                }
                if due >= warmup {
                    self.lag.saturating_record((now - due).max(1));
                }
                sent += 1;
            }
            match self.poll.poll(&mut events, Some(Duration::ZERO)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                self.receive(event.token().0, &mut buffer, start, warmup)?;
            }
        }
        Ok(self.report(total, sent))
    }

    fn receive(
        &mut self,
        index: usize,
        buffer: &mut [u8],
        start: Instant,
        warmup: u64,
    ) -> io::Result<()> {
        let client = &mut self.clients[index];
        loop {
            let read = match client.stream.read(buffer) {
                Ok(0) => {
                    return Err(io::Error::new(
                        ErrorKind::UnexpectedEof,
                        "the server closed a connection",
                    ));
                }
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            if client.received == 0 && !buffer[..read].starts_with(b"HTTP/1.1 200 ") {
                return Err(io::Error::new(
                    ErrorKind::InvalidData,
                    "an answer was not 200",
                ));
            }
            client.received += read;
            if client.received > self.answer_len {
                return Err(io::Error::new(
                    ErrorKind::InvalidData,
                    "an answer had another length than the first",
                ));
            }
            if client.received == self.answer_len {
                self.answered += 1;
                client.answered += 1;
                if client.due >= warmup {
                    self.latency
                        .saturating_record((nanos(start) - client.due).max(1));
                }
                self.idle.push_back(index);
            }
            if read < buffer.len() {
                return Ok(());
            }
        }
    }

    fn report(&self, total: u64, sent: u64) -> String {
        let micros = |nanos: u64| nanos as f64 / 1e3;
        let quantile = |q: f64| micros(self.latency.value_at_quantile(q));
        let counts = || self.clients.iter().map(|client| client.answered);
        let rate = if self.plan.rate.is_finite() {
            self.plan.rate.to_string()
        } else {
            "null".to_owned()
        };
        format!(
            concat!(
                "{{\"rate\":{},\"planned\":{},\"sent\":{},\"answered\":{},\"recorded\":{},",
                "\"p50_us\":{:.1},\"p90_us\":{:.1},\"p99_us\":{:.1},\"p999_us\":{:.1},\"max_us\":{:.1},",
                "\"mean_us\":{:.1},\"lag_p99_us\":{:.1},\"fewest\":{},\"most\":{}}}"
            ),
            rate,
            total,
            sent,
            self.answered,
            self.latency.len(),
            quantile(0.5),
            quantile(0.9),
            quantile(0.99),
            quantile(0.999),
            micros(self.latency.max()),
            self.latency.mean() / 1e3,
            micros(self.lag.value_at_quantile(0.99)),
            counts().min().unwrap_or(0),
            counts().max().unwrap_or(0),
        )
    }
}

fn nanos(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Asks once over a connection of its own; returns the whole length of the answer.
fn probe(address: SocketAddr, request: &[u8]) -> io::Result<usize> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(request)?;
    let invalid = |text: &'static str| io::Error::new(ErrorKind::InvalidData, text);
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&buffer[..read]);
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut fields);
        let parsed = response
            .parse(&bytes)
            .map_err(|_| invalid("the probe's answer is not HTTP"))?;
        let httparse::Status::Complete(head) = parsed else {
            continue;
        };
        if response.code != Some(200) {
            return Err(invalid("the probe was not answered with 200"));
        }
        let body = response
            .headers
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case("content-length"))
            .and_then(|field| std::str::from_utf8(field.value).ok()?.parse::<usize>().ok())
            .ok_or_else(|| invalid("the probe's answer has no Content-Length"))?;
        return Ok(head + body);
    }
}
