//! The address of the API (a region of Tencent Cloud, or a URL that the user gives) and the URL of a call.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::str::FromStr;

use reqwest::Url;

use super::usersig::UserSig;
use crate::domain::hint::Hint;
use crate::domain::request::account::UserId;

/// A data center of Tencent Cloud Chat. Each app is in one of them; the others answer 60026, 70016 or 70020.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region {
    /// Mainland China
    China,
    /// Singapore
    Singapore,
    /// Seoul
    Seoul,
    /// Frankfurt
    Frankfurt,
    /// Silicon Valley
    SiliconValley,
    /// Jakarta
    Jakarta,
    /// Tokyo
    Tokyo,
    /// Riyadh
    Riyadh,
}

impl Region {
    /// All regions, in the order in which messages list them.
    pub const ALL: [Self; 8] = [
        Self::China,
        Self::Singapore,
        Self::Seoul,
        Self::Frankfurt,
        Self::SiliconValley,
        Self::Jakarta,
        Self::Tokyo,
        Self::Riyadh,
    ];

    /// The name in job files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::China => "china",
            Self::Singapore => "singapore",
            Self::Seoul => "seoul",
            Self::Frankfurt => "frankfurt",
            Self::SiliconValley => "silicon-valley",
            Self::Jakarta => "jakarta",
            Self::Tokyo => "tokyo",
            Self::Riyadh => "riyadh",
        }
    }

    /// The host of its API (tables "domain" of the pages account_delete and REST API overview).
    pub const fn host(self) -> &'static str {
        match self {
            Self::China => "console.tim.qq.com",
            Self::Singapore => "adminapisgp.im.qcloud.com",
            Self::Seoul => "adminapikr.im.qcloud.com",
            Self::Frankfurt => "adminapiger.im.qcloud.com",
            Self::SiliconValley => "adminapiusa.im.qcloud.com",
            Self::Jakarta => "adminapiidn.im.qcloud.com",
            Self::Tokyo => "adminapijpn.im.qcloud.com",
            Self::Riyadh => "adminapiksa.im.qcloud.com",
        }
    }
}

/// No region has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown region `{0}`; expected one of china, singapore, seoul, frankfurt, silicon-valley, jakarta, tokyo, riyadh"
)]
pub struct UnknownRegion(pub String);

impl FromStr for Region {
    type Err = UnknownRegion;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|region| region.name() == name).ok_or_else(|| UnknownRegion(name.to_owned()))
    }
}

/// Scheme, host and port of the API. The scheme is `https`; `http` is allowed for this machine only.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

/// Why a text is not an endpoint. No message quotes the text, because users paste complete URLs with the signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It is not a URL, for this reason.
    #[error("is not a URL: {0}")]
    NotAUrl(String),
    /// It has another scheme.
    #[error("is neither an https nor an http URL")]
    Scheme,
    /// It is an `http` URL to another machine.
    #[error("is plain http to another machine: others on the network could read the signature")]
    PlainHttp,
    /// It has a user name or password before the host.
    #[error("contains a user name or password")]
    UserInfo,
    /// It has something after host and port.
    #[error("has something after host and port")]
    Tail,
}

impl Hint for EndpointError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::NotAUrl(_) | Self::Scheme => "write it like https://adminapisgp.im.qcloud.com",
            Self::PlainHttp => "use https; http is only for 127.0.0.1, [::1] and localhost",
            Self::UserInfo => "leave it out: the API is called with SDKAppID, identifier and UserSig",
            Self::Tail => "leave out path, query and fragment: imbulk adds the path and the parameters of each call",
        };
        Some(hint.into())
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|error| EndpointError::NotAUrl(error.to_string()))?;
        let plain = match url.scheme() {
            "https" => false,
            "http" => true,
            _ => return Err(EndpointError::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::UserInfo);
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(EndpointError::Tail);
        }
        let endpoint = Self(url);
        if plain && !endpoint.is_loopback() {
            return Err(EndpointError::PlainHttp);
        }
        Ok(endpoint)
    }
}

impl From<Region> for Endpoint {
    fn from(region: Region) -> Self {
        let url = Url::parse(&format!("https://{}", region.host()));
        Self(url.expect("the hosts of the table make URLs"))
    }
}

impl Endpoint {
    /// Whether it is this machine.
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// The name of the limit that calls to `sdkappid` count against, in characters that a file name may have. An app
    /// has one limit, whatever its endpoint. Sandboxes on this machine have one limit for each port.
    pub fn ledger_name(&self, sdkappid: NonZeroU64) -> String {
        if !self.is_loopback() {
            return sdkappid.to_string();
        }
        let host = self.host().replace(':', "_");
        let port = self.0.port_or_known_default().unwrap_or_default();
        format!("{host}-{port}-{sdkappid}")
    }

    /// The URL of one call (page "REST API overview"). Only this function puts a signature into a URL. The result is
    /// used in the request and nowhere else.
    pub(super) fn url(
        &self,
        path: &str,
        sdkappid: NonZeroU64,
        identifier: &UserId,
        usersig: &UserSig,
        random: u32,
    ) -> Url {
        let mut url = self.0.clone();
        url.set_path(path);
        let identifier = percent_encode(identifier.as_str());
        let usersig = percent_encode(usersig.expose());
        url.set_query(Some(&format!(
            "sdkappid={sdkappid}&identifier={identifier}&usersig={usersig}&random={random}&contenttype=json"
        )));
        url
    }

    /// The host without the brackets of an IPv6 address.
    fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default().trim_matches(['[', ']'])
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Percent-encodes all characters but the unreserved ones of RFC 3986. Form encoding would turn a space into `+`, which
/// some servers do not read as a space.
fn percent_encode(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let digits = [byte >> 4, byte & 15].map(|digit| char::from(HEX[usize::from(digit)]));
            encoded.extend(['%', digits[0], digits[1]]);
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn app() -> NonZeroU64 {
        NonZeroU64::new(1_400_000_001).unwrap()
    }

    #[test]
    fn every_region_reads_back_and_is_an_endpoint_that_one_could_type() {
        let message = "mars".parse::<Region>().unwrap_err().to_string();
        for region in Region::ALL {
            assert_eq!(region.name().parse(), Ok(region));
            assert!(message.contains(region.name()));
            let endpoint = Endpoint::from(region);
            assert_eq!(endpoint.to_string().parse(), Ok(endpoint.clone()));
            assert!(!endpoint.is_loopback());
        }
    }

    #[rstest]
    #[case("https://example.org", "https://example.org")]
    #[case("https://example.org/", "https://example.org")]
    #[case("https://example.org:8443", "https://example.org:8443")]
    #[case("HTTPS://EXAMPLE.org:443", "https://example.org")]
    #[case("http://127.0.0.1:8080", "http://127.0.0.1:8080")]
    #[case("http://127.9.9.9", "http://127.9.9.9")]
    #[case("http://[::1]:8080", "http://[::1]:8080")]
    #[case("http://localhost:1", "http://localhost:1")]
    fn https_anywhere_and_http_to_this_machine_are_endpoints(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
    }

    #[rstest]
    #[case("", EndpointError::NotAUrl("relative URL without a base".to_owned()))]
    #[case("example.org", EndpointError::NotAUrl("relative URL without a base".to_owned()))]
    #[case("ftp://example.org", EndpointError::Scheme)]
    #[case("localhost:8080", EndpointError::Scheme)]
    #[case("http://example.org", EndpointError::PlainHttp)]
    #[case("http://10.0.0.1:8080", EndpointError::PlainHttp)]
    #[case("http://0.0.0.0:8080", EndpointError::PlainHttp)]
    #[case("http://localhost.example.org", EndpointError::PlainHttp)]
    #[case("http://127.0.0.1.example.org", EndpointError::PlainHttp)]
    #[case("http://[2001:db8::1]", EndpointError::PlainHttp)]
    #[case("http://127.0.0.1@example.org", EndpointError::UserInfo)]
    #[case("https://:secret@example.org", EndpointError::UserInfo)]
    #[case("https://example.org/v4", EndpointError::Tail)]
    #[case("https://example.org?usersig=secret", EndpointError::Tail)]
    #[case("https://example.org#secret", EndpointError::Tail)]
    fn anything_else_is_refused_without_being_quoted(#[case] text: &str, #[case] expected: EndpointError) {
        let error = text.parse::<Endpoint>().unwrap_err();
        assert_eq!(error, expected);
        assert!(!format!("{error:?} {}", error.with_hint()).contains("secret"));
    }

    #[test]
    fn the_url_of_a_call_has_exactly_the_five_parameters_each_encoded() {
        let endpoint: Endpoint = "https://example.org".parse().unwrap();
        let usersig = UserSig::new("a*b-c_d+e=%&".to_owned()).unwrap();
        let url = endpoint.url("v4/sns/friend_delete", app(), &UserId::new("a b&用").unwrap(), &usersig, u32::MAX);
        assert_eq!(
            url.as_str(),
            "https://example.org/v4/sns/friend_delete?sdkappid=1400000001&identifier=a%20b%26%E7%94%A8\
             &usersig=a%2Ab-c_d%2Be%3D%25%26&random=4294967295&contenttype=json"
        );
    }

    #[test]
    fn real_endpoints_share_the_ledger_of_the_app_and_sandboxes_have_their_own() {
        let name = |text: &str| text.parse::<Endpoint>().unwrap().ledger_name(app());
        assert_eq!(name("https://example.org"), "1400000001");
        assert_eq!(Endpoint::from(Region::Tokyo).ledger_name(app()), "1400000001");
        assert_eq!(name("http://127.0.0.1:8080"), "127.0.0.1-8080-1400000001");
        assert_eq!(name("http://[::1]"), "__1-80-1400000001");
        assert_eq!(name("https://localhost"), "localhost-443-1400000001");
    }
}
