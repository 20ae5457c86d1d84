//! Static edges of all states in one hash table: a segment costs one probe, however many rules there are.
//!
//! Open addressing, at most half full. Keys are the developer's rules, so a lookup's cost does not depend on
//! what a client sends beyond hashing its bytes once.

/// From a state and a segment to the next state.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Box<[Slot]>,
    keys: Box<str>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    parent: u32,
    child: u32,
    start: u32,
    length: u32,
}

// No state: the root is never anybody's child.
const EMPTY: u32 = 0;

impl Table {
    pub(super) fn new<'a>(edges: impl Iterator<Item = (u32, &'a str, u32)> + Clone) -> Self {
        let size = (edges.clone().count() * 2).next_power_of_two();
        let vacant = Slot {
            hash: 0,
            parent: 0,
            child: EMPTY,
            start: 0,
            length: 0,
        };
        let mut slots = vec![vacant; size];
        let mut keys = String::new();
        for (parent, key, child) in edges {
            let hash = hash(parent, key.as_bytes());
            let mut index = hash as usize & (size - 1);
            while slots[index].child != EMPTY {
                index = (index + 1) & (size - 1);
            }
            slots[index] = Slot {
                hash,
                parent,
                child,
                start: keys.len() as u32,
                length: key.len() as u32,
            };
            keys.push_str(key);
        }
        Self {
            slots: slots.into(),
            keys: keys.into(),
        }
    }

    pub(super) fn get(&self, parent: u32, key: &str) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let hash = hash(parent, key.as_bytes());
        let mut index = hash as usize & mask;
        loop {
            let slot = self.slots[index];
            if slot.child == EMPTY {
                return None;
            }
            if slot.hash == hash && slot.parent == parent && slot.length as usize == key.len() {
                let start = slot.start as usize;
                if self.keys.as_bytes()[start..start + key.len()] == *key.as_bytes() {
                    return Some(slot.child);
                }
            }
            index = (index + 1) & mask;
        }
    }
}

fn hash(parent: u32, bytes: &[u8]) -> u32 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut state = (u64::from(parent) << 32 | bytes.len() as u64).wrapping_mul(FACTOR);
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        state = (state.rotate_left(29) ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR);
    }
    let mut last = [0; 8];
    last[..tail.len()].copy_from_slice(tail);
    state = (state.rotate_left(29) ^ u64::from_le_bytes(last)).wrapping_mul(FACTOR);
    (state >> 32) as u32
}
