//! Values that carry their time and a signature, `payload.time.signature`: byte for byte what itsdangerous' time-stamping
//! signer writes with HMAC (RFC 2104) over SHA-1 and keys derived by HMAC from a secret and a salt.
//!
//! A value is known here only in its canonical spelling. What is not may still be one that the reference reads (its
//! base64 skips letters it does not know), and why a value is bad is for the reference to say: callers ask it.

use super::base64url;
use sha1::{Digest, Sha1};

const SEPARATOR: u8 = b'.';
/// RFC 2104 2: the block size of SHA-1.
const BLOCK: usize = 64;
const DIGEST: usize = 20;

/// Signs with the newest of its keys and accepts the signatures of all of them.
pub struct Signer {
    /// Newest first: most signatures are the newest key's.
    keys: Vec<Mac>,
}

impl Signer {
    /// A signer with the keys of `secrets`, oldest first. `None` without any.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8]>, salt: &[u8]) -> Option<Self> {
        let mut keys: Vec<Mac> = secrets
            .into_iter()
            .map(|secret| Mac::new(&Mac::new(secret).sign(salt)))
            .collect();
        keys.reverse();
        (!keys.is_empty()).then_some(Self { keys })
    }

    /// `payload` with `time` (in seconds since 1970) and signature. A payload has no separator but in its first place.
    #[must_use]
    pub fn sign(&self, payload: &[u8], time: u64) -> Vec<u8> {
        let mut text = Vec::with_capacity(payload.len() + 40);
        text.extend_from_slice(payload);
        text.push(SEPARATOR);
        let octets = time.to_be_bytes();
        let leading = (time.leading_zeros() / 8) as usize;
        base64url::encode(&octets[leading..], &mut text);
        if let Some(key) = self.keys.first() {
            let signature = key.sign(&text);
            text.push(SEPARATOR);
            base64url::encode(&signature, &mut text);
        }
        text
    }

    /// The payload of a value that was signed at most `max_age` seconds before `now`, and not after it. `None`: ask
    /// the reference.
    #[must_use]
    pub fn verify<'a>(&self, text: &'a [u8], now: i64, max_age: i64) -> Option<&'a [u8]> {
        let end = memchr::memrchr(SEPARATOR, text)?;
        let (signed, signature) = (&text[..end], &text[end + 1..]);
        let mut given = Vec::with_capacity(DIGEST + 2);
        base64url::decode(signature, &mut given)?;
        if !self
            .keys
            .iter()
            .any(|key| is_equal(&key.sign(signed), &given))
        {
            return None;
        }
        let end = memchr::memrchr(SEPARATOR, signed)?;
        let (payload, time) = (&signed[..end], &signed[end + 1..]);
        let mut octets = Vec::with_capacity(10);
        base64url::decode(time, &mut octets)?;
        if octets.len() > 7 {
            return None;
        }
        let time = octets
            .iter()
            .fold(0i64, |time, octet| time << 8 | i64::from(*octet));
        (0..=max_age)
            .contains(&now.checked_sub(time)?)
            .then_some(payload)
    }
}

/// HMAC-SHA-1 under one key: the states after the key's two blocks, which are the same for every message.
struct Mac {
    inner: Sha1,
    outer: Sha1,
}

impl Mac {
    fn new(key: &[u8]) -> Self {
        let mut block = [0; BLOCK];
        if key.len() > BLOCK {
            block[..DIGEST].copy_from_slice(&Sha1::digest(key));
        } else {
            block[..key.len()].copy_from_slice(key);
        }
        Self {
            inner: Sha1::new_with_prefix(block.map(|octet| octet ^ 0x36)),
            outer: Sha1::new_with_prefix(block.map(|octet| octet ^ 0x5c)),
        }
    }

    fn sign(&self, message: &[u8]) -> [u8; DIGEST] {
        let inner = self.inner.clone().chain_update(message).finalize();
        self.outer.clone().chain_update(inner).finalize().into()
    }
}

/// Takes the same time wherever the two differ.
fn is_equal(one: &[u8; DIGEST], other: &[u8]) -> bool {
    one.len() == other.len()
        && std::hint::black_box(
            one.iter()
                .zip(other)
                .fold(0, |difference, (a, b)| difference | (a ^ b)),
        ) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What itsdangerous 2.2 writes: URLSafeTimedSerializer(["old", "k"], salt="cookie-session", signer_kwargs=
    /// {"key_derivation": "hmac", "digest_method": hashlib.sha1}).dumps({"user": 1}) at the time 1700000000.
    const SIGNED: &[u8] = b"eyJ1c2VyIjoxfQ.ZVPxAA.Gqf7aMV_xDVmi6uP7pb0XuC3_yc";
    const BY_OLD_KEY: &[u8] = b"eyJ1c2VyIjoxfQ.ZVPxAA.3QdxeiNrz5jqfC1cEgFLnYp9tKY";
    const NOW: i64 = 1_700_000_000;

    fn signer(secrets: &[&'static [u8]]) -> Signer {
        Signer::new(secrets.iter().copied(), b"cookie-session").unwrap()
    }

    #[test]
    fn computes_the_vectors_of_rfc_2202() {
        let hex = |bytes: [u8; 20]| bytes.map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(
            hex(Mac::new(&[0x0b; 20]).sign(b"Hi There")),
            "b617318655057264e28bc0b6fb378c8ef146be00"
        );
        assert_eq!(
            hex(Mac::new(&[0xaa; 80])
                .sign(b"Test Using Larger Than Block-Size Key - Hash Key First")),
            "aa4ae5e15272d00e95705637ce8a3b55ed402112"
        );
    }

    #[test]
    fn writes_what_the_reference_writes() {
        let signer = signer(&[b"old", b"k"]);
        assert_eq!(signer.sign(b"eyJ1c2VyIjoxfQ", NOW as u64), SIGNED);
        assert_eq!(signer.verify(SIGNED, NOW, 10), Some(&b"eyJ1c2VyIjoxfQ"[..]));
    }

    #[test]
    fn accepts_an_older_key_but_not_another_one() {
        assert!(
            signer(&[b"old", b"k"])
                .verify(BY_OLD_KEY, NOW, 10)
                .is_some()
        );
        assert!(signer(&[b"k"]).verify(BY_OLD_KEY, NOW, 10).is_none());
        assert!(Signer::new([], b"salt").is_none());
    }

    #[test]
    fn knows_a_value_for_its_time_only() {
        let signer = signer(&[b"k"]);
        assert!(signer.verify(SIGNED, NOW + 10, 10).is_some());
        for now in [NOW + 11, NOW - 1, i64::MIN, i64::MAX] {
            assert!(signer.verify(SIGNED, now, 10).is_none());
        }
        assert!(signer.verify(SIGNED, NOW, -1).is_none());
    }

    #[test]
    fn refuses_a_value_that_is_changed_anywhere() {
        let signer = signer(&[b"k"]);
        for at in 0..SIGNED.len() {
            let mut text = SIGNED.to_vec();
            text[at] ^= 1;
            assert_eq!(signer.verify(&text, NOW, 10), None, "octet {at}");
            assert_eq!(signer.verify(&SIGNED[..at], NOW, 10), None);
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(payload in "\\.?[A-Za-z0-9_-]{0,80}", time in 0..1u64 << 55) {
            let signer = signer(&[b"old", b"k"]);
            let text = signer.sign(payload.as_bytes(), time);
            prop_assert_eq!(signer.verify(&text, time as i64, 0), Some(payload.as_bytes()));
        }

        #[test]
        fn never_knows_text_that_nobody_signed(text: Vec<u8>) {
            prop_assert_eq!(signer(&[b"k"]).verify(&text, NOW, i64::MAX), None);
        }
    }
}
