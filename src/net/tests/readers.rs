//! Clients that take nothing, or little, of what they asked for.

use super::*;
use socket2::{Domain, Socket, Type};

const MIDDLE: &[u8] = b"GET /middle HTTP/1.1\r\nHost: a\r\n\r\n";

/// A client whose system takes only a few kilobytes that it does not read.
fn connect_narrowly(server: &Server) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    socket.connect(&server.address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream
}

/// How long until the connection was reset; nothing is read from it.
fn until_reset(stream: &TcpStream) -> Duration {
    let begun = Instant::now();
    while stream.take_error().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(20), "never reset");
        std::thread::sleep(Duration::from_millis(10));
    }
    begun.elapsed()
}

#[test]
fn what_was_taken_at_once_buys_no_silence_later() {
    let server = Server::start(|config| {
        config.write_timeout = Duration::from_secs(3);
        // What the client's system takes at once is worth more than the timeout.
        config.min_write_rate = 1;
    });
    let mut stream = connect_narrowly(&server);
    stream
        .write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let took = until_reset(&stream);
    assert!(took > Duration::from_millis(2900), "{took:?}");
    assert!(took < Duration::from_millis(5500), "{took:?}");
}

#[test]
fn further_answers_buy_no_time_for_those_before_them() {
    let server = Server::start(|config| {
        config.write_timeout = Duration::from_secs(1);
        config.min_write_rate = 1024 * 1024;
    });
    let mut stream = connect_narrowly(&server);
    stream.write_all(&MIDDLE.repeat(1000)).unwrap();
    // 640 KB a second.
    let (begun, mut part) = (Instant::now(), vec![0; 32 * 1024]);
    while stream.read_exact(&mut part).is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(10), "never cut");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn an_idle_connection_whose_answer_nobody_takes_is_reset() {
    let server = Server::start(|config| config.write_timeout = Duration::from_millis(500));
    let mut stream = connect_narrowly(&server);
    // The system takes all of it from the server, which is then done with the request.
    stream.write_all(MIDDLE).unwrap();
    until_reset(&stream);
}

#[test]
fn a_closed_connection_whose_answer_nobody_takes_is_reset() {
    let server = Server::start(|config| {
        config.write_timeout = Duration::from_millis(500);
        config.linger_timeout = Duration::from_millis(200);
    });
    let mut stream = connect_narrowly(&server);
    stream
        .write_all(b"GET /middle HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    until_reset(&stream);
}

#[test]
fn a_closed_connection_is_read_from_at_the_clients_pace() {
    let server = Server::start(|config| {
        config.write_timeout = Duration::from_millis(1500);
        config.linger_timeout = Duration::from_millis(200);
        config.min_write_rate = 1000;
    });
    let mut stream = connect_narrowly(&server);
    stream
        .write_all(b"GET /middle HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    let (mut got, mut part) = (0, [0; 2048]);
    loop {
        match stream.read(&mut part).unwrap() {
            0 => break,
            n => got += n,
        }
        std::thread::sleep(Duration::from_millis(60));
    }
    assert!(got > 64 * 1024, "{got} bytes");
}

#[test]
fn a_reader_of_much_lets_others_in() {
    let server = Server::start(|_| {});
    let mut greedy = server.connect();
    let requests = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
    greedy.write_all(&requests).unwrap();
    let reader = std::thread::spawn(move || {
        let (mut got, mut part) = (0, vec![0; 1024 * 1024]);
        while got < 100 * 4 * 1024 * 1024 {
            got += greedy.read(&mut part).unwrap();
        }
    });
    let mut answers = 0;
    while !reader.is_finished() {
        assert!(server.talk(post("mine").as_bytes()).ends_with("mine"));
        answers += 1;
    }
    reader.join().unwrap();
    assert!(answers > 10, "{answers} answers beside 100 large ones");
}
