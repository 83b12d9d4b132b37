//! UserSig: the signature that identifies the caller (TLSSigAPIv2 with HMAC-SHA256, for apps created since July 2019).

use std::io::{Read, Write};
use std::num::NonZeroU64;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use jiff::Timestamp;
use ring::hmac::{self, HMAC_SHA256};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::domain::request::account::UserId;

/// The maximum size of the JSON that a signature is unpacked to. A real one has about 250 bytes; a hostile one could
/// have gigabytes.
const MAX_PAYLOAD: u64 = 64 * 1024;

/// The characters of base64 that are neither letters nor digits …
const BASE64_SIGNS: &str = "+/=";

/// … and their replacements in a UserSig. This is not the URL-safe alphabet of RFC 4648.
const TOKEN_SIGNS: &str = "*-_";

/// The secret key of an app, as the console shows it. It is never printed, and is removed from memory when it is
/// dropped.
#[derive(Debug, Clone)]
pub struct SecretKey(SecretString);

/// A signature. Anyone who has it can act as the admin until it expires, so `Debug` does not show it.
#[derive(Debug, Clone)]
pub struct UserSig(SecretString);

/// Why a text can be neither a key nor a signature. The message does not quote the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The text is empty.
    #[error("is empty")]
    Empty,
    /// It contains white space, a line break, a control character or a character beyond ASCII, usually from copying.
    #[error("has a character at byte {0} that no key or UserSig contains")]
    Foreign(usize),
}

/// Why a signature cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UserSigDecodeError {
    /// It has characters that the encoding does not have, or it was cut off.
    #[error("is not in the encoding of a UserSig; is it incomplete?")]
    Encoding,
    /// The compressed part is damaged, or its unpacked size is larger than that of any signature.
    #[error("cannot be decompressed; is it incomplete?")]
    Compression,
    /// It can be unpacked, but its fields are not those of version 2.
    #[error("lacks the fields of a UserSig of version 2")]
    Fields,
}

/// The fields of a signature that are not encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The account that it signs for.
    pub identifier: String,
    /// The app.
    pub sdkappid: NonZeroU64,
    /// When it was made, by the clock of the machine that made it.
    pub issued_at: Timestamp,
    /// How long it is valid.
    pub valid: Duration,
}

/// The JSON inside a signature. The official libraries differ in the order of the fields and in spacing, so neither is
/// checked.
#[derive(Serialize, Deserialize)]
struct Payload {
    #[serde(rename = "TLS.ver")]
    version: String,
    #[serde(rename = "TLS.identifier")]
    identifier: String,
    #[serde(rename = "TLS.sdkappid")]
    sdkappid: NonZeroU64,
    #[serde(rename = "TLS.expire")]
    expire: u64,
    #[serde(rename = "TLS.time")]
    time: i64,
    #[serde(rename = "TLS.sig")]
    sig: String,
}

impl SecretKey {
    /// Takes `text` as a key. The HMAC uses the bytes of the text as its key, although the text looks like a
    /// hexadecimal number.
    pub fn new(text: String) -> Result<Self, SecretError> {
        plain(text).map(Self)
    }
}

impl UserSig {
    /// Takes `text` as a signature that was made elsewhere.
    pub fn new(text: String) -> Result<Self, SecretError> {
        plain(text).map(Self)
    }

    /// The signature itself, for the URL and for `imbulk usersig`.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The fields that are not encrypted. Only the API can check whether the signature is genuine.
    pub fn claims(&self) -> Result<Claims, UserSigDecodeError> {
        let payload = self.payload()?;
        Ok(Claims {
            identifier: payload.identifier,
            sdkappid: payload.sdkappid,
            issued_at: Timestamp::from_second(payload.time).map_err(|_| UserSigDecodeError::Fields)?,
            valid: Duration::from_secs(payload.expire),
        })
    }

    /// The JSON inside. Errors of the parsers could quote the signature, so they are dropped.
    fn payload(&self) -> Result<Payload, UserSigDecodeError> {
        let packed = STANDARD
            .decode(transliterate(self.expose(), TOKEN_SIGNS, BASE64_SIGNS))
            .map_err(|_| UserSigDecodeError::Encoding)?;
        let mut json = Vec::new();
        ZlibDecoder::new(packed.as_slice())
            .take(MAX_PAYLOAD)
            .read_to_end(&mut json)
            .map_err(|_| UserSigDecodeError::Compression)?;
        serde_json::from_slice(&json).map_err(|_| UserSigDecodeError::Fields)
    }
}

/// Signs for `identifier` of the app `sdkappid`. The signature is valid from `issued_at` for `valid`, both in whole
/// seconds.
pub fn sign(
    key: &SecretKey,
    sdkappid: NonZeroU64,
    identifier: &UserId,
    issued_at: Timestamp,
    valid: Duration,
) -> UserSig {
    let (time, expire) = (issued_at.as_second(), valid.as_secs());
    let payload = Payload {
        version: "2.0".to_owned(),
        identifier: identifier.as_str().to_owned(),
        sdkappid,
        expire,
        time,
        sig: signature(key, sdkappid, identifier, time, expire),
    };
    UserSig(pack(&payload).into())
}

/// The payload as a UserSig: JSON, compressed by zlib, in base64. JSON and zlib cannot fail here: they convert strings
/// and integers in memory.
fn pack(payload: &Payload) -> String {
    let json = serde_json::to_vec(payload).expect("a payload is plain JSON");
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&json).expect("memory takes every byte");
    let packed = packed.finish().expect("memory takes every byte");
    transliterate(&STANDARD.encode(packed), BASE64_SIGNS, TOKEN_SIGNS)
}

/// `TLS.sig`: the order of the lines is fixed and the last one ends with a line feed, too.
fn signature(key: &SecretKey, sdkappid: NonZeroU64, identifier: &UserId, time: i64, expire: u64) -> String {
    let message =
        format!("TLS.identifier:{identifier}\nTLS.sdkappid:{sdkappid}\nTLS.time:{time}\nTLS.expire:{expire}\n");
    let key = hmac::Key::new(HMAC_SHA256, key.0.expose_secret().as_bytes());
    STANDARD.encode(hmac::sign(&key, message.as_bytes()))
}

/// The text with every character of `from` replaced by its counterpart in `to`.
fn transliterate(text: &str, from: &str, to: &str) -> String {
    let counterpart = |c| from.chars().zip(to.chars()).find(|&(f, _)| f == c).map_or(c, |(_, t)| t);
    text.chars().map(counterpart).collect()
}

/// Stores the text as a secret from here on, even if it is not valid.
fn plain(text: String) -> Result<SecretString, SecretError> {
    let secret = SecretString::from(text);
    let bytes = secret.expose_secret().as_bytes();
    if bytes.is_empty() {
        return Err(SecretError::Empty);
    }
    match bytes.iter().position(|byte| !byte.is_ascii_graphic()) {
        Some(at) => Err(SecretError::Foreign(at)),
        None => Ok(secret),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sample key of the public documentation.
    const SAMPLE_KEY: &str = "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e";
    /// Made by the official Python package at a fixed time.
    const FROM_PYTHON: &str = "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkElNyM-Myi0uKEkvyi2BKilOyEwsKMlOACgxNDKAA\
        KpdaUZBZlAqSMTU1NUKIl2TmgkXN0dQXZ6aD7PFyrqpIzHOz8AsJiUgsNcnVNsqwLC8zT4-0yqv0yy7ONajI\
        NfRzjQg1MjexVaoFANTGNgc_";
    /// Made by the official Node package at a fixed time.
    const FROM_NODE: &str = "eJyrVgrxCdYrSy1SslIy0jNQ0gHzM1NS80oy0zLBwokpuZl5mcUlRYkl*UVQBcUp2YkFBZkpSlaGJgZQAJEp\
        ycxNVbIyNEcVTa0oyCwCiZuamhrBRYsz05WslLycqyoS89ws-EJCIhJLTXK1jTIsy8vM0yO98ir9sotzDSpy\
        Df1cI0KNzE1slWoBQr40pw__";

    fn key() -> SecretKey {
        SecretKey::new(SAMPLE_KEY.to_owned()).unwrap()
    }

    fn app() -> NonZeroU64 {
        NonZeroU64::new(1_400_000_000).unwrap()
    }

    fn user(id: &str) -> UserId {
        UserId::new(id).unwrap()
    }

    fn pinned() -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap()
    }

    fn sample(id: &str, seconds: u64) -> UserSig {
        sign(&key(), app(), &user(id), pinned(), Duration::from_secs(seconds))
    }

    #[test]
    fn the_hmac_is_that_of_the_official_packages() {
        let sig = |usersig: UserSig| usersig.payload().unwrap().sig;
        assert_eq!(sig(sample("administrator", 15_552_000)), "JCzxanF8NTTXau4m+2h9wv7gYJnyNksm0xm1NEXU274=");
        assert_eq!(sig(sample("xiaojun", 86_400)), "SNF4FmVCPucoXsBOpbVF3fFCf57JPm0ezZ1jeVILlVc=");
    }

    #[test]
    fn tokens_of_the_official_packages_say_what_ours_says() {
        let ours = sample("administrator", 15_552_000);
        for token in [FROM_PYTHON, FROM_NODE] {
            let theirs = UserSig::new(token.to_owned()).unwrap();
            assert_eq!(theirs.claims(), ours.claims());
            assert_eq!(theirs.payload().unwrap().sig, ours.payload().unwrap().sig);
        }
        assert_eq!(
            ours.claims(),
            Ok(Claims {
                identifier: "administrator".to_owned(),
                sdkappid: app(),
                issued_at: pinned(),
                valid: Duration::from_hours(180 * 24),
            })
        );
    }

    #[test]
    fn a_token_has_only_the_characters_of_the_encoding() {
        for n in 0..200 {
            let token = sample(&format!("user{n}"), 86_400);
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"*-_".contains(&byte);
            assert!(token.expose().bytes().all(legal));
        }
    }

    #[test]
    fn identifiers_that_json_escapes_come_back_whole() {
        for id in [r#"a"b\c"#, "管理员", "a b"] {
            assert_eq!(sample(id, 60).claims().unwrap().identifier, id);
        }
    }

    #[test]
    fn damaged_tokens_are_distinguished_and_never_panic() {
        let claims = |text: &str| UserSig::new(text.to_owned()).unwrap().claims();
        assert_eq!(claims("not+base64"), Err(UserSigDecodeError::Encoding));
        assert_eq!(claims("AAAA"), Err(UserSigDecodeError::Compression));
        for end in 1..FROM_NODE.len() {
            assert!(claims(&FROM_NODE[..end]).is_err() || end + 8 > FROM_NODE.len());
        }
    }

    #[test]
    fn a_token_that_unpacks_to_more_than_any_signature_is_not_read_on() {
        let claims = |length: usize| {
            let payload = Payload { identifier: "x".repeat(length), ..sample("x", 60).payload().unwrap() };
            UserSig(pack(&payload).into()).claims()
        };
        assert!(claims(1000).is_ok());
        assert_eq!(claims(100_000), Err(UserSigDecodeError::Fields));
    }

    #[test]
    fn keys_with_a_line_break_are_refused_without_being_shown() {
        let error = SecretKey::new(format!("{SAMPLE_KEY}\n")).unwrap_err();
        assert_eq!(error, SecretError::Foreign(64));
        assert!(!error.to_string().contains(&SAMPLE_KEY[..8]));
        assert_eq!(UserSig::new(String::new()).unwrap_err(), SecretError::Empty);
    }

    #[test]
    fn debug_shows_neither_key_nor_signature() {
        assert!(!format!("{:?}", key()).contains(&SAMPLE_KEY[..8]));
        let token = sample("administrator", 60);
        assert!(!format!("{token:?} {:?}", token.claims()).contains(&token.expose()[..8]));
    }
}
