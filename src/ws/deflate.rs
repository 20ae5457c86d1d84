//! Compressed messages (RFC 7692 7.2): raw deflate, flushed at a byte, without the flush's last four bytes.

use super::extension::Agreed;
use super::{Error, Role};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use std::cell::RefCell;

/// What a sync flush ends with, left out of a message.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Output is grown by this much at the least.
const STEP: usize = 4 * 1024;

/// Level 1 gets most of a JSON text's gain for a third of level 6's time.
const LEVEL: u32 = 1;

#[derive(Default)]
struct Tools {
    /// By window bits, from 9 on.
    compressors: [Option<Compress>; 7],
    decompressor: Option<Decompress>,
    packed: Vec<u8>,
}

thread_local! {
    /// Between two messages that stand for themselves a compressor holds nothing: one does for all connections.
    static TOOLS: RefCell<Tools> = RefCell::default();
}

/// Compresses the messages of one connection.
pub struct Deflater {
    bits: u8,
    /// None: messages stand for themselves.
    own: Option<Box<Compress>>,
}

impl Deflater {
    pub fn new(agreed: &Agreed) -> Self {
        Self {
            bits: agreed.server_bits,
            own: (!agreed.server_alone).then(|| Box::new(compressor(agreed.server_bits))),
        }
    }

    /// Calls `then` with the message compressed.
    pub fn with<R>(&mut self, data: &[u8], then: impl FnOnce(&[u8]) -> R) -> R {
        TOOLS.with_borrow_mut(|tools| {
            tools.packed.clear();
            match &mut self.own {
                Some(own) => deflate(own, data, &mut tools.packed),
                None => {
                    let shared = &mut tools.compressors[usize::from(self.bits - 9)];
                    let shared = shared.get_or_insert_with(|| compressor(self.bits));
                    deflate(shared, data, &mut tools.packed);
                    shared.reset();
                }
            }
            let result = then(&tools.packed);
            if tools.packed.capacity() > 256 * 1024 {
                tools.packed = Vec::new();
            }
            result
        })
    }
}

impl std::fmt::Debug for Deflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deflater")
            .field("bits", &self.bits)
            .finish_non_exhaustive()
    }
}

fn compressor(bits: u8) -> Compress {
    Compress::new_with_window_bits(Compression::new(LEVEL), false, bits)
}

fn deflate(compress: &mut Compress, data: &[u8], out: &mut Vec<u8>) {
    out.reserve(data.len() / 2 + 64);
    let start = compress.total_in();
    loop {
        let done = (compress.total_in() - start) as usize;
        // The output is memory and the state is a compressor's own: there is nothing to fail.
        let status = compress.compress_vec(&data[done..], out, FlushCompress::Sync);
        let done = (compress.total_in() - start) as usize;
        // A flush is complete only when it left room.
        if status.is_err() || done == data.len() && out.len() < out.capacity() {
            break;
        }
        out.reserve(STEP);
    }
    if out.ends_with(&TAIL) {
        out.truncate(out.len() - TAIL.len());
    }
    // RFC 7692 7.2.3.6: an empty message is one empty block.
    if out.is_empty() {
        out.push(0);
    }
}

/// Decompresses the messages of one connection.
pub struct Inflater {
    own: Option<Box<Decompress>>,
}

impl Inflater {
    pub fn new(agreed: &Agreed, role: Role) -> Self {
        let alone = match role {
            Role::Server => agreed.client_alone,
            Role::Client => agreed.server_alone,
        };
        Self {
            own: (!alone).then(|| Box::new(Decompress::new(false))),
        }
    }

    /// The message that was compressed, of at most `limit` bytes.
    pub fn inflate(&mut self, data: &[u8], limit: usize) -> Result<Vec<u8>, Error> {
        match &mut self.own {
            Some(own) => inflate(own, data, limit),
            None => TOOLS.with_borrow_mut(|tools| {
                let shared = tools
                    .decompressor
                    .get_or_insert_with(|| Decompress::new(false));
                shared.reset(false);
                inflate(shared, data, limit)
            }),
        }
    }
}

impl std::fmt::Debug for Inflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inflater").finish_non_exhaustive()
    }
}

fn inflate(decompress: &mut Decompress, data: &[u8], limit: usize) -> Result<Vec<u8>, Error> {
    // One byte more than the limit tells that it was passed.
    let most = limit.saturating_add(1);
    let mut out = Vec::with_capacity((data.len() * 3).clamp(64, 64 * 1024).min(most));
    'parts: for mut part in [data, &TAIL] {
        loop {
            if out.len() == out.capacity() {
                if out.len() > limit {
                    return Err(Error::TooBig);
                }
                let wanted = (out.capacity() * 2).max(STEP).min(most);
                out.reserve_exact(wanted - out.len());
            }
            let (read, written) = (decompress.total_in(), out.len());
            let status = decompress
                .decompress_vec(part, &mut out, FlushDecompress::Sync)
                .map_err(|_| Error::NotDeflate)?;
            let read = (decompress.total_in() - read) as usize;
            part = &part[read..];
            match status {
                // RFC 7692 7.2.3.4: a block may be marked as the last one, and others follow it. They do not refer to what
                // was before: zlib forgets its window too, and flate2 has no way to keep it.
                Status::StreamEnd => {
                    decompress.reset(false);
                    // Padding was left out: the tail would begin a block that goes on in the next message.
                    if part.is_empty() {
                        break 'parts;
                    }
                }
                Status::Ok | Status::BufError => {
                    if out.len() < out.capacity() {
                        if part.is_empty() {
                            break;
                        }
                        if read == 0 && out.len() == written {
                            return Err(Error::NotDeflate);
                        }
                    }
                }
            }
            if part.is_empty() && out.len() < out.capacity() {
                break;
            }
        }
    }
    if out.len() > limit {
        return Err(Error::TooBig);
    }
    Ok(out)
}
