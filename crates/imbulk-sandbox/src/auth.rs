//! The parameters of the URL and the `UserSig` among them, checked apart from the code that makes them.

use std::borrow::Cow;
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::Sha256;

use crate::refusal::Refusal;

/// The one app that the sandbox serves.
#[derive(Clone, Debug)]
pub struct App {
    /// The `SDKAppID` that calls must name.
    pub sdkappid: u64,
    /// The identifiers with the role of app admin; any other one gets 60010.
    pub admins: Vec<String>,
    /// The secret key of its `UserSig`s. `None`: a `UserSig` must be well-formed, name this app and the
    /// caller, and be in date, but any HMAC passes (for a `UserSig` made elsewhere).
    pub key: Option<SecretString>,
}

impl Default for App {
    /// App 1400000001 with the admin `administrator` and no key.
    fn default() -> Self {
        Self { sdkappid: 1_400_000_001, admins: vec!["administrator".to_owned()], key: None }
    }
}

/// A decompressed `UserSig` is some 200 bytes; this stops a hostile one from filling the memory.
const MAX_CLAIMS: u64 = 64 * 1024;

/// Seconds of validity below which a profile can refuse a signature.
const SHORT: u64 = 3600;

/// Checks the URL's query as the REST API overview describes it; `now` in seconds since 1970. `short`: the code of a
/// signature that is valid for less than an hour; none if it is accepted.
pub(crate) fn check(app: &App, query: &str, now: u64, short: Option<u32>) -> Result<(), Refusal> {
    let params = Params::parse(query)?;
    let sdkappid = params.get("sdkappid").ok_or(Refusal::new(60012))?;
    if sdkappid.parse() != Ok(app.sdkappid) {
        return Err(Refusal::new(60006));
    }
    let identifier = params.required("identifier")?;
    let usersig = params.get("usersig").ok_or_else(|| missing("usersig"))?;
    if params.required("random")?.parse::<u32>().is_err() {
        return Err(Refusal::with(60025, "random is not a 32-bit unsigned integer"));
    }
    if params.required("contenttype")? != "json" {
        return Err(Refusal::with(60025, "contenttype is not json"));
    }
    verify_usersig(app, identifier, usersig, (now, short))?;
    if app.admins.iter().any(|admin| admin == identifier) { Ok(()) } else { Err(Refusal::new(60010)) }
}

/// What a `UserSig` says (`TLSSigAPIv2`); the order of its JSON keys is free.
#[derive(Deserialize)]
struct Claims {
    #[serde(rename = "TLS.ver")]
    version: String,
    #[serde(rename = "TLS.identifier")]
    identifier: String,
    #[serde(rename = "TLS.sdkappid")]
    sdkappid: u64,
    /// Seconds since 1970.
    #[serde(rename = "TLS.time")]
    time: u64,
    /// Seconds from `time`.
    #[serde(rename = "TLS.expire")]
    expire: u64,
    #[serde(rename = "TLS.sig")]
    signature: String,
    #[serde(rename = "TLS.userbuf")]
    userbuf: Option<String>,
}

/// In the order of the official verifier: sdkappid, identifier, expiry, signature.
fn verify_usersig(app: &App, identifier: &str, usersig: &str, (now, short): (u64, Option<u32>)) -> Result<(), Refusal> {
    if usersig.is_empty() {
        return Err(Refusal::new(70002));
    }
    let claims = decode(usersig).ok_or(Refusal::new(70003))?;
    if claims.sdkappid != app.sdkappid {
        return Err(Refusal::new(70014));
    }
    if claims.identifier != identifier {
        return Err(Refusal::new(70013));
    }
    if now > claims.time.saturating_add(claims.expire) {
        return Err(Refusal::new(70001));
    }
    if let Some(code) = short.filter(|_| claims.expire < SHORT) {
        return Err(Refusal::new(code));
    }
    match &app.key {
        Some(key) if !is_signed_by(&claims, key) => Err(Refusal::new(70009)),
        Some(_) | None => Ok(()),
    }
}

/// Base64 with `*-_` for `+/=`, in it a zlib stream, in it JSON.
fn decode(usersig: &str) -> Option<Claims> {
    let base64: String = usersig
        .chars()
        .map(|c| match c {
            '*' => '+',
            '-' => '/',
            '_' => '=',
            other => other,
        })
        .collect();
    let compressed = STANDARD.decode(base64).ok()?;
    let mut json = Vec::new();
    flate2::read::ZlibDecoder::new(compressed.as_slice()).take(MAX_CLAIMS).read_to_end(&mut json).ok()?;
    let claims: Claims = serde_json::from_slice(&json).ok()?;
    let signature_length = STANDARD.decode(&claims.signature).ok()?.len();
    (claims.version == "2.0" && signature_length == 32).then_some(claims)
}

fn is_signed_by(claims: &Claims, key: &SecretString) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes()) else {
        return false;
    };
    let Claims { identifier, sdkappid, time, expire, .. } = claims;
    let message =
        format!("TLS.identifier:{identifier}\nTLS.sdkappid:{sdkappid}\nTLS.time:{time}\nTLS.expire:{expire}\n");
    mac.update(message.as_bytes());
    if let Some(userbuf) = &claims.userbuf {
        mac.update(format!("TLS.userbuf:{userbuf}\n").as_bytes());
    }
    STANDARD.decode(&claims.signature).is_ok_and(|signature| mac.verify_slice(&signature).is_ok())
}

/// The parameters of a query; names and values are case-sensitive, the first of equal names counts.
struct Params<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Params<'a> {
    fn parse(query: &'a str) -> Result<Self, Refusal> {
        query
            .split('&')
            .filter(|part| !part.is_empty())
            .map(|part| {
                let (name, value) = part.split_once('=').unwrap_or((part, ""));
                Some((percent_decode(name)?, percent_decode(value)?))
            })
            .collect::<Option<Vec<_>>>()
            .map(Self)
            .ok_or(Refusal::new(60002))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(given, _)| given == name)?;
        Some(&found.1)
    }

    fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).filter(|value| !value.is_empty()).ok_or_else(|| missing(name))
    }
}

fn missing(name: &str) -> Refusal {
    Refusal::with(60025, format!("{name} missing in url"))
}

/// `None` for a broken escape or bytes that are not UTF-8.
fn percent_decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let value = digit(rest.next()?)? * 16 + digit(rest.next()?)?;
            bytes.push(u8::try_from(value).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with the official packages (PyPI and npm `tls-sig-api-v2`) at 1700000000.
    const KEY: &str = "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e";
    const FROM_PYTHON: &str = "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkElNyM-Myi0uKEkvyi2BKilOyEwsKMlOACgxNDKAA\
        KpdaUZBZlAqSMTU1NUKIl2TmgkXN0dQXZ6aD7PFyrqpIzHOz8AsJiUgsNcnVNsqwLC8zT4-0yqv0yy7ONajI\
        NfRzjQg1MjexVaoFANTGNgc_";
    const FROM_NODE: &str = "eJyrVgrxCdYrSy1SslIy0jNQ0gHzM1NS80oy0zLBwokpuZl5mcUlRYkl*UVQBcUp2YkFBZkpSlaGJgZQAJEp\
        ycxNVbIyNEcVTa0oyCwCiZuamhrBRYsz05WslLycqyoS89ws-EJCIhJLTXK1jTIsy8vM0yO98ir9sotzDSpy\
        Df1cI0KNzE1slWoBQr40pw__";
    const MADE_AT: u64 = 1_700_000_000;

    fn app() -> App {
        App { sdkappid: 1_400_000_000, admins: vec!["administrator".to_owned()], key: Some(KEY.into()) }
    }

    fn query(usersig: &str) -> String {
        format!("sdkappid=1400000000&identifier=administrator&usersig={usersig}&random=4294967295&contenttype=json")
    }

    fn code(app: &App, query: &str, now: u64) -> u32 {
        check(app, query, now, None).map_or_else(|refusal| refusal.code, |()| 0)
    }

    #[test]
    fn usersigs_of_the_official_packages_pass() {
        assert_eq!(code(&app(), &query(FROM_PYTHON), MADE_AT), 0);
        assert_eq!(code(&app(), &query(FROM_NODE), MADE_AT), 0);
        let escaped = FROM_NODE.replace('*', "%2A");
        assert_eq!(code(&app(), &query(&escaped), MADE_AT), 0);
    }

    #[test]
    fn a_userbuf_is_part_of_what_is_signed() {
        let claims = |userbuf: Option<&str>| Claims {
            version: "2.0".to_owned(),
            identifier: "xiaojun".to_owned(),
            sdkappid: 1_400_000_000,
            time: MADE_AT,
            expire: 15_552_000,
            signature: "QjT201xPkXk/aM1e+y0vakZb0K2iPrFue++0s5y6bFM=".to_owned(),
            userbuf: userbuf.map(str::to_owned),
        };
        assert!(is_signed_by(&claims(Some("YWJj")), &KEY.into()));
        assert!(!is_signed_by(&claims(None), &KEY.into()));
    }

    #[test]
    fn a_usersig_ends_with_its_validity() {
        let last = MADE_AT + 15_552_000;
        assert_eq!(code(&app(), &query(FROM_PYTHON), last), 0);
        assert_eq!(code(&app(), &query(FROM_PYTHON), last + 1), 70001);
    }

    #[test]
    fn each_mistake_in_the_signature_has_its_code() {
        let of = |app: &App, usersig: &str| code(app, &query(usersig), MADE_AT);
        assert_eq!(of(&app(), ""), 70002);
        assert_eq!(of(&app(), &FROM_NODE[..80]), 70003);
        assert_eq!(of(&app(), "xxx"), 70003);
        let mut other_key = app();
        other_key.key = Some("another".into());
        assert_eq!(of(&other_key, FROM_NODE), 70009);
        other_key.key = None;
        assert_eq!(of(&other_key, FROM_NODE), 0, "no key: any HMAC passes");
        let swapped = query(FROM_NODE).replace("identifier=administrator", "identifier=bob");
        assert_eq!(code(&app(), &swapped, MADE_AT), 70013);
        let mut other_app = app();
        other_app.sdkappid = 1_400_000_001;
        let swapped = query(FROM_NODE).replace("sdkappid=1400000000", "sdkappid=1400000001");
        assert_eq!(code(&other_app, &swapped, MADE_AT), 70014);
        let mut no_admin = app();
        no_admin.admins.clear();
        assert_eq!(of(&no_admin, FROM_NODE), 60010);
    }

    #[test]
    fn each_mistake_in_the_url_has_its_code() {
        let good = query(FROM_NODE);
        let with = |old: &str, new: &str| code(&app(), &good.replace(old, new), MADE_AT);
        assert_eq!(with("sdkappid=1400000000&", ""), 60012);
        assert_eq!(with("sdkappid=1400000000", "sdkappid=1400000009"), 60006);
        assert_eq!(with("sdkappid=1400000000", "sdkappid=x"), 60006);
        assert_eq!(with("identifier=administrator&", ""), 60025);
        assert_eq!(with("usersig=", "UserSig="), 60025);
        assert_eq!(with("random=4294967295", "random=4294967296"), 60025);
        assert_eq!(with("random=4294967295&", ""), 60025);
        assert_eq!(with("contenttype=json", "contenttype=xml"), 60025);
        assert_eq!(with("identifier=a", "identifier=%4g"), 60002);
        assert_eq!(with("identifier=a", "identifier=%ff"), 60002);
    }

    proptest::proptest! {
        #[test]
        fn no_query_passes_by_chance_or_makes_a_panic(
            query in "(sdkappid=1400000000|identifier|usersig|[&=%*_a-zé0-9]){0,12}",
        ) {
            assert_ne!(code(&app(), &query, MADE_AT), 0);
        }
    }
}
