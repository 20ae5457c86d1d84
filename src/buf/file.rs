//! Files on their way to a connection: what part of one is sent, and who can send it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

/// Bytes of a file, sent from where they are. The file closes with its last part.
pub struct FilePart {
    pub(super) file: Arc<File>,
    pub(super) offset: u64,
    pub(super) len: usize,
}

impl FilePart {
    #[must_use]
    pub fn new(file: Arc<File>, offset: u64, len: usize) -> Self {
        Self { file, offset, len }
    }
}

/// Bytes that go through memory where a sink cannot take a file.
const PIECE: usize = 64 * 1024;

/// What an outbox is flushed to.
pub trait Sink: io::Write {
    /// Sends some of the file from `offset`, `most` bytes at the most, and returns how many; in any case so few that a
    /// disk does not hold the thread for long.
    ///
    /// # Errors
    /// The file's and the sink's; `UnexpectedEof` where the file has nothing at `offset`.
    fn send_file(&mut self, file: &File, offset: u64, most: usize) -> io::Result<usize> {
        let mut piece = vec![0; most.min(PIECE)];
        let read = file.read_at(&mut piece, offset)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.write(&piece[..read])
    }
}

impl Sink for Vec<u8> {}

#[cfg(test)]
pub(super) mod tests {
    use std::fs::File;
    use std::io::Write as _;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// An open file that has no name any more.
    pub fn file_of(content: &[u8]) -> File {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bustapi-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        File::create(&path)
            .and_then(|mut file| file.write_all(content))
            .expect("a temporary file can be written");
        let file = File::open(&path).expect("a file that was written can be opened");
        std::fs::remove_file(&path).expect("a file of ours can be removed");
        file
    }
}
