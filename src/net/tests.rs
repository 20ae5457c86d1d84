//! The reactor over real sockets, with a service written in Rust.

mod readers;
mod sockets;

use super::*;
use crate::buf::{Budget, Payload};
use crate::config::Config;
use crate::conn::{Batch, Service};
use crate::h1::ReplyLength;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Echoes bodies; `/stream` streams, `/large` sends by reference, `/middle` as much as the system holds for a client.
struct Echo;

struct Large(Vec<u8>);

impl Payload for Large {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Service for Echo {
    type Message = ();

    fn serve(&mut self, batch: &mut Batch<'_, ()>) {
        batch.shared.graveyard.clear();
        batch.messages.clear();
        for key in batch.take_resumable() {
            if let Some((conn, _)) = batch.conn(key) {
                conn.stream(b"more");
                conn.end_stream();
                batch.advance(key);
            }
        }
        while let Some(key) = batch.next_ready() {
            let Some((conn, shared)) = batch.conn(key) else {
                continue;
            };
            let Some(request) = conn.take_request() else {
                continue;
            };
            let target = request
                .bytes
                .split(|b| *b == b' ')
                .nth(1)
                .unwrap_or_default();
            let fields = [(&b"Content-Type"[..], &b"text/plain"[..])];
            match target {
                b"/stream" => {
                    conn.begin_stream(
                        shared,
                        200,
                        None,
                        b"",
                        fields.into_iter(),
                        ReplyLength::Unknown,
                    );
                    conn.stream(b"some ");
                    continue;
                }
                b"/large" => {
                    let body = Box::new(Large(vec![b'x'; 4 * 1024 * 1024]));
                    conn.reply_payload(shared, 200, None, b"", fields.into_iter(), body);
                }
                b"/middle" => {
                    let body = [b'x'; 64 * 1024];
                    conn.reply(shared, 200, None, b"", fields.into_iter(), &body);
                }
                _ => {
                    let body = request.body.bytes();
                    conn.reply(shared, 200, None, b"", fields.into_iter(), body);
                }
            }
            batch.advance(key);
        }
    }
}

struct Server {
    address: SocketAddr,
    control: Arc<Control>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        Self::run(config, Echo)
    }

    fn run<S: Service + Send + 'static>(config: Config, mut service: S) -> Self {
        let listeners = Listener::bind("127.0.0.1", 0, 128, false).unwrap();
        let address = listeners[0].address().parse().unwrap();
        let budget = Budget::new(config.max_body_memory);
        let mut reactor: Reactor<S> = Reactor::new(Arc::new(config), budget, listeners).unwrap();
        let control = reactor.control();
        let thread = std::thread::spawn(move || {
            while reactor.turn(&mut service, None).unwrap() != Turn::Finished {}
        });
        Self {
            address,
            control,
            thread: Some(thread),
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        stream
    }

    /// Sends bytes, then a FIN, and reads to the end.
    fn talk(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.control.abort();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn post(body: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start(|_| {});
    let requests: String = (0..500).map(|i| post(&format!("<{i}>"))).collect();
    let answer = server.talk(requests.as_bytes());
    let mut at = 0;
    for i in 0..500 {
        at += answer[at..]
            .find(&format!("<{i}>"))
            .expect("an answer in its place");
    }
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 500);
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let server = Server::start(|_| {});
    let mut stream = server.connect();
    stream.set_nodelay(true).unwrap();
    for byte in post("slow").bytes() {
        stream.write_all(&[byte]).unwrap();
        std::thread::sleep(Duration::from_micros(300));
    }
    let mut answer = [0; 4096];
    let n = stream.read(&mut answer).unwrap();
    assert!(answer[..n].ends_with(b"slow"));
}

#[test]
fn a_large_body_comes_and_goes_whole() {
    let server = Server::start(|_| {});
    let body = "0123456789abcdef".repeat(300_000);
    let mut stream = server.connect();
    let mut writer = stream.try_clone().unwrap();
    let request = post(&body);
    let sender = std::thread::spawn(move || writer.write_all(request.as_bytes()).unwrap());
    let mut answer = vec![0; body.len()];
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    stream.read_exact(&mut answer).unwrap();
    sender.join().unwrap();
    assert!(answer == body.as_bytes());
}

#[test]
fn a_payload_and_a_stream_reach_the_client() {
    let server = Server::start(|_| {});
    let answer = server
        .talk(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\nGET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        answer.matches('x').count(),
        4 * 1024 * 1024 + "text/plain".matches('x').count() * 2
    );
    assert!(
        answer.ends_with("5\r\nsome \r\n4\r\nmore\r\n0\r\n\r\n"),
        "{}",
        &answer[answer.len() - 80..]
    );
}

#[test]
fn a_head_that_takes_too_long_gets_408_and_silence_gets_a_close() {
    let server = Server::start(|config| {
        config.head_timeout = Duration::from_millis(200);
        config.first_byte_timeout = Duration::from_millis(200);
    });
    let mut silent = server.connect();
    let mut slow = server.connect();
    slow.write_all(b"GET / HTTP/1.1\r\nHost:").unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let mut nothing = String::new();
    silent.read_to_string(&mut nothing).unwrap();
    assert_eq!(nothing, "");
}

#[test]
fn a_reader_that_stalls_is_not_served_further() {
    let server = Server::start(|config| config.write_timeout = Duration::from_millis(300));
    let mut stream = server.connect();
    // Far more than both socket buffers hold; the requests are small, the answers are not read.
    for _ in 0..16 {
        stream
            .write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
    }
    std::thread::sleep(Duration::from_millis(1500));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.len() < 64 * 1024 * 1024, "the connection was cut");
}

#[test]
fn a_drain_answers_what_was_received_and_then_ends() {
    let mut server = Server::start(|_| {});
    let mut idle = server.connect();
    idle.write_all(post("one").as_bytes()).unwrap();
    let mut answer = [0; 4096];
    assert!(idle.read(&mut answer).unwrap() > 0);
    let mut busy = server.connect();
    let request = post("half of it");
    busy.write_all(&request.as_bytes()[..request.len() - 3])
        .unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let begun = Instant::now();
    server.control.drain(Duration::from_secs(5));
    std::thread::sleep(Duration::from_millis(100));
    busy.write_all(&request.as_bytes()[request.len() - 3..])
        .unwrap();
    let mut last = String::new();
    busy.read_to_string(&mut last).unwrap();
    assert!(
        last.ends_with("half of it") && last.contains("Connection: close"),
        "{last}"
    );
    drop((busy, idle));
    server.thread.take().unwrap().join().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_drain_answers_what_waits_in_the_accept_queue() {
    let mut server = Server::start(|config| config.max_connections = 2);
    // Two are served, the others wait: the bound keeps them in the queue when the drain begins.
    let mut streams: Vec<TcpStream> = (0..20).map(|_| server.connect()).collect();
    for stream in &mut streams {
        stream.write_all(post("mine").as_bytes()).unwrap();
    }
    server.control.drain(Duration::from_secs(10));
    for mut stream in streams {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("mine"), "{answer}");
    }
    server.thread.take().unwrap().join().unwrap();
    assert!(TcpStream::connect(server.address).is_err());
}

#[test]
fn an_idle_connection_gets_one_last_answer_in_a_drain() {
    let mut server = Server::start(|_| {});
    let mut idle = server.connect();
    idle.write_all(post("first").as_bytes()).unwrap();
    let mut answer = [0; 4096];
    assert!(idle.read(&mut answer).unwrap() > 0);
    let mut silent = server.connect();
    std::thread::sleep(Duration::from_millis(50));
    let begun = Instant::now();
    server.control.drain(Duration::from_secs(10));
    std::thread::sleep(Duration::from_millis(400));
    idle.write_all(post("last").as_bytes()).unwrap();
    let mut last = String::new();
    idle.read_to_string(&mut last).unwrap();
    assert!(
        last.ends_with("last") && last.contains("Connection: close"),
        "{last}"
    );
    // One that says nothing is closed, and the drain does not wait for the grace.
    assert_eq!(silent.read(&mut answer).unwrap(), 0);
    drop((idle, silent));
    server.thread.take().unwrap().join().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[test]
fn a_bad_request_is_refused_and_nothing_after_it_is_answered() {
    let server = Server::start(|_| {});
    let answer =
        server.talk(b"GET / HTTP/1.1\r\nHost : a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1);
}

/// Sends `piece` every 50 ms until the server ends the connection; what it said, and after how long.
fn drip(mut stream: TcpStream, piece: &[u8]) -> (String, Duration) {
    let begun = Instant::now();
    let mut reader = stream.try_clone().unwrap();
    let answer = std::thread::spawn(move || {
        let mut answer = Vec::new();
        let _ = reader.read_to_end(&mut answer);
        (String::from_utf8(answer).unwrap(), begun.elapsed())
    });
    while !answer.is_finished() && begun.elapsed() < Duration::from_secs(8) {
        if stream.write_all(piece).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    answer.join().unwrap()
}

#[test]
fn a_body_below_the_least_rate_is_given_up_and_one_above_it_is_not() {
    let server = Server::start(|config| {
        config.body_timeout = Duration::from_millis(500);
        config.min_body_rate = 200;
    });
    let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 600\r\n\r\n";
    let mut slow = server.connect();
    slow.write_all(head.as_bytes()).unwrap();
    let (answer, took) = drip(slow, b"x");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(took > Duration::from_millis(500), "{took:?}");
    let mut fast = server.connect();
    fast.write_all(head.as_bytes()).unwrap();
    let (answer, took) = drip(fast, b"xxxxxxxxxxxxxxxxxxxx");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(took > Duration::from_millis(1000), "{took:?}");
}

#[test]
fn chunk_extensions_and_trailers_are_no_progress_of_a_body() {
    let server = Server::start(|config| {
        config.body_timeout = Duration::from_millis(300);
        config.min_body_rate = 0;
    });
    for begun in ["5;", "0\r\n"] {
        let mut stream = server.connect();
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream
            .write_all(format!("{head}{begun}").as_bytes())
            .unwrap();
        let (answer, took) = drip(stream, b"e");
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(took < Duration::from_secs(4), "{took:?}");
    }
}

#[test]
fn empty_lines_do_not_prolong_the_wait_for_a_request() {
    let server = Server::start(|config| {
        config.first_byte_timeout = Duration::from_millis(200);
        config.keep_alive_timeout = Duration::from_millis(200);
    });
    let (answer, took) = drip(server.connect(), b"");
    assert_eq!(answer, "");
    assert!(took < Duration::from_secs(2), "{took:?}");
    let mut stream = server.connect();
    stream.write_all(b"\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(150));
    let _ = stream.write_all(b"\r\n");
    let mut nothing = Vec::new();
    let _ = stream.read_to_end(&mut nothing);
    assert_eq!(nothing, b"");
}

#[test]
fn a_pipeline_of_whole_and_half_heads_is_not_late() {
    let server = Server::start(|config| config.head_timeout = Duration::from_millis(300));
    let mut stream = server.connect();
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(&request[..9]).unwrap();
    let begun = Instant::now();
    let mut answers = 0;
    while begun.elapsed() < Duration::from_millis(1500) {
        stream.write_all(&request[9..]).unwrap();
        stream.write_all(&request[..9]).unwrap();
        let mut answer = [0; 4096];
        let n = stream.read(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{answers} answers");
        assert!(n > 0);
        answers += 1;
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_reader_below_the_least_rate_is_reset() {
    for (rate, is_cut) in [(1024 * 1024, true), (0, false)] {
        let server = Server::start(|config| {
            config.write_timeout = Duration::from_millis(400);
            config.min_write_rate = rate;
        });
        let mut stream = server.connect();
        let mut requests = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n".repeat(15);
        requests.extend_from_slice(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(&requests).unwrap();
        // About 300 KB a second, for two seconds; then as fast as it goes.
        let mut part = vec![0; 16 * 1024];
        let mut got = 0;
        for _ in 0..40 {
            got += stream.read(&mut part).unwrap_or(0);
            std::thread::sleep(Duration::from_millis(50));
        }
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        got += rest.len();
        assert_eq!(
            ended.is_err() || got < 64 * 1024 * 1024,
            is_cut,
            "rate {rate}: {got} bytes, {ended:?}"
        );
    }
}

#[test]
fn the_last_request_of_a_connection_is_told_so() {
    let server = Server::start(|config| config.max_requests_per_connection = 3);
    let answer = server.talk(post("one").repeat(5).as_bytes());
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3);
    assert_eq!(answer.matches("Connection: close").count(), 1);
    assert!(answer.rfind("Connection: close") > answer.rfind("HTTP/1.1 200"));
}

#[test]
fn requests_past_the_bound_are_refused_and_the_connection_lives() {
    let server = Server::start(|config| config.max_waiting = 0);
    let mut stream = server.connect();
    for _ in 0..2 {
        stream.write_all(post("one").as_bytes()).unwrap();
        let mut answer = [0; 4096];
        let n = stream.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..n]);
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("Retry-After: 1\r\n") && !answer.contains("close"));
    }
    let answer = server.talk(post("one").repeat(20).as_bytes());
    assert_eq!(answer.matches("HTTP/1.1 503 ").count(), 20);
}

#[test]
fn what_is_pipelined_past_the_bound_stays_in_the_socket() {
    let server = Server::start(|config| config.max_pipeline = 1024);
    let requests: String = (0..2000).map(|i| post(&format!("<{i}>"))).collect();
    let answer = server.talk(requests.as_bytes());
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2000);
}
