//! WebSockets whose service takes no message.

use super::*;
use crate::conn::SocketEvent;
use crate::ws::{Compression, Handshake};
use std::sync::mpsc::{Receiver, Sender, channel};

const HANDSHAKE: &[u8] =
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Accepts everybody and listens to nobody; of those that went it tells what they had left.
struct Deaf(Sender<Vec<SocketEvent>>);

impl Service for Deaf {
    type Message = ();

    fn serve(&mut self, batch: &mut Batch<'_, ()>) {
        for (_, events) in std::mem::take(&mut batch.shared.gone) {
            // A test that has ended does not ask.
            let _ = self.0.send(events.into());
        }
        while let Some(key) = batch.next_ready() {
            if let Some((conn, shared)) = batch.conn(key)
                && let Some(request) = conn.take_request()
            {
                let handshake =
                    Handshake::read(&request.head, &request.bytes, Compression::Off).unwrap();
                conn.follow();
                conn.upgrade(shared, &handshake, None, std::iter::empty());
            }
        }
    }
}

/// A client that was accepted by a server with a ping interval of half a second, and what is told of it.
fn connect() -> (Server, TcpStream, Receiver<Vec<SocketEvent>>) {
    let config = Config {
        websocket_ping_interval: Duration::from_millis(500),
        websocket_ping_timeout: Duration::from_millis(500),
        ..Config::default()
    };
    let (sender, gone) = channel();
    let server = Server::run(config, Deaf(sender));
    let mut stream = server.connect();
    stream.write_all(HANDSHAKE).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    (server, stream, gone)
}

/// Two hundred messages: more than are taken of one whose messages nobody reads, and with a kilobyte each more than one
/// read brings.
fn messages(is_long: bool) -> Vec<u8> {
    let (length, second) = if is_long { (1024u16, 126) } else { (0, 0) };
    let mut message = vec![0x82, 0x80 | second];
    if is_long {
        message.extend(length.to_be_bytes());
    }
    message.resize(message.len() + 4 + usize::from(length), 0);
    message.repeat(200)
}

const CLOSE: &[u8] = b"\x88\x82\0\0\0\0\x03\xe8";

#[test]
fn one_that_left_is_noticed_and_what_it_sent_is_not_lost() {
    for (is_long, farewell, closed) in [
        (true, CLOSE, 1),
        (true, b"", 0),
        (false, CLOSE, 1),
        (false, b"", 0),
    ] {
        let (_server, mut stream, gone) = connect();
        stream.write_all(&messages(is_long)).unwrap();
        stream.write_all(farewell).unwrap();
        drop(stream);
        let events = gone.recv_timeout(Duration::from_secs(5)).unwrap();
        assert_eq!(events.len(), 200 + closed);
        let told = events
            .iter()
            .filter(|e| matches!(e, SocketEvent::Closed(_)));
        assert_eq!(told.count(), closed);
    }
}

#[test]
fn one_that_stays_owes_no_pong_while_its_messages_wait() {
    let (_server, mut stream, gone) = connect();
    stream.write_all(&messages(true)).unwrap();
    for _ in 0..4 {
        let mut ping = [0; 2];
        stream.read_exact(&mut ping).unwrap();
        assert_eq!(ping, *b"\x89\x00");
    }
    assert_eq!(gone.try_iter().count(), 0);
    // It is gone without a word: its system answers the next ping with a reset.
    let socket = socket2::SockRef::from(&stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    assert!(gone.recv_timeout(Duration::from_secs(5)).is_ok());
}

#[test]
fn silence_is_pinged_after_the_interval_and_ended_after_the_timeout() {
    let (_server, mut stream, _gone) = connect();
    let begun = Instant::now();
    // No upper bounds: the machine may stand still for as long as it likes.
    let waited = |least| {
        let passed = begun.elapsed().as_millis();
        assert!(passed >= least, "{passed}");
    };
    std::thread::sleep(Duration::from_millis(300));
    stream.write_all(b"\x8a\x80\0\0\0\0").unwrap();
    let mut ping = [0; 2];
    stream.read_exact(&mut ping).unwrap();
    waited(780);
    assert_eq!(stream.read(&mut ping).unwrap(), 0);
    waited(1280);
}
