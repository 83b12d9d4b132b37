//! The proxies that the environment names, and the choice of the proxy for an endpoint.
//!
//! A value may contain a password, so errors, `Debug` output and messages show only its scheme, host and port.

use std::borrow::Cow;
use std::fmt;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::Endpoint;
use crate::domain::hint::Hint;

/// The variables, as curl knows them. For each scheme the first one that is set is used; if none is set, `ALL_PROXY`.
pub const PROXY_VARIABLES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"];

/// The proxies that the environment names.
#[derive(Debug, Default)]
pub struct Proxies {
    /// The proxy for https. Plain http is only used for this machine, and never with a proxy.
    https: Option<Proxy>,
    /// `NO_PROXY`
    except: String,
}

/// A proxy.
#[derive(Clone)]
pub struct Proxy {
    variable: &'static str,
    url: Url,
}

/// Why a variable does not name a proxy. The value is never quoted, because it may contain a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// It is not a URL.
    #[error("{variable} is not the URL of a proxy: {why}")]
    NotAUrl {
        /// The variable.
        variable: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Proxies of this kind are not supported, and calls to the endpoint would have to use it.
    #[error("{variable} names neither an http nor an https proxy")]
    Scheme {
        /// The variable.
        variable: &'static str,
    },
}

impl Hint for ProxyError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::NotAUrl { .. } => "write it like http://proxy.example.com:3128, or unset it",
            Self::Scheme { .. } => {
                "set HTTPS_PROXY to an http or https proxy, or name the API's host in NO_PROXY to call it directly"
            }
        };
        Some(hint.into())
    }
}

impl Proxies {
    /// Reads the values of [`PROXY_VARIABLES`] that are set, and of `NO_PROXY`. A value that is not a URL is an error
    /// even if no call would use it.
    pub fn parse(values: &[(&'static str, SecretString)], except: &str) -> Result<Self, ProxyError> {
        let proxies = values.iter().map(|(variable, value)| Proxy::parse(variable, value.expose_secret()));
        let proxies: Vec<Proxy> = proxies.collect::<Result<_, _>>()?;
        let named = |name: &str| proxies.iter().find(|proxy| proxy.variable == name).cloned();
        let mut for_https = PROXY_VARIABLES.iter().filter(|name| !name.eq_ignore_ascii_case("HTTP_PROXY"));
        Ok(Self { https: for_https.find_map(|name| named(name)), except: except.to_owned() })
    }

    /// The proxy for calls to `endpoint`. Without one they are sent directly, as all calls to this machine are.
    pub fn towards(&self, endpoint: &Endpoint) -> Result<Option<Proxy>, ProxyError> {
        let Some(proxy) = self.https.as_ref().filter(|_| !endpoint.is_loopback() && !self.excepts(endpoint)) else {
            return Ok(None);
        };
        match proxy.url.scheme() {
            "http" | "https" => Ok(Some(proxy.clone())),
            _ => Err(ProxyError::Scheme { variable: proxy.variable }),
        }
    }

    /// Whether `NO_PROXY` contains the endpoint, by the rules of curl.
    fn excepts(&self, endpoint: &Endpoint) -> bool {
        // This proxy is used for every endpoint that the list does not contain.
        let matcher = Matcher::builder().all("http://proxy.invalid").no(self.except.as_str()).build();
        let uri = endpoint.to_string().parse::<hyper::Uri>();
        uri.is_ok_and(|uri| matcher.intercept(&uri).is_none())
    }
}

impl Proxy {
    fn parse(variable: &'static str, value: &str) -> Result<Self, ProxyError> {
        let with_scheme = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
        let wrong = |why: String| ProxyError::NotAUrl { variable, why };
        let url = Url::parse(&with_scheme).map_err(|error| wrong(error.to_string()))?;
        if !url.has_host() {
            return Err(wrong("it has no host".to_owned()));
        }
        Ok(Self { variable, url })
    }

    /// The URL for the HTTP client, with user name and password.
    pub(super) fn url(&self) -> Url {
        self.url.clone()
    }
}

/// The URL for messages, without user name and password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.url.host_str().unwrap_or_default();
        write!(f, "{}://{host}", self.url.scheme())?;
        if let Some(port) = self.url.port() {
            write!(f, ":{port}")?;
        }
        write!(f, " ({})", self.variable)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const REGION: &str = "https://adminapisgp.im.qcloud.com";

    fn proxies(values: &[(&'static str, &str)], except: &str) -> Result<Proxies, ProxyError> {
        let values: Vec<_> = values.iter().map(|(name, value)| (*name, SecretString::from(*value))).collect();
        Proxies::parse(&values, except)
    }

    /// The proxy for calls to `endpoint`, as messages show it.
    fn chosen(values: &[(&'static str, &str)], except: &str, endpoint: &str) -> Option<String> {
        let proxies = proxies(values, except).expect("good");
        let proxy = proxies.towards(&endpoint.parse().expect("an endpoint")).expect("a usable proxy");
        proxy.map(|proxy| proxy.to_string())
    }

    #[rstest]
    #[case(&[("HTTPS_PROXY", "http://proxy:3128")], Some("http://proxy:3128 (HTTPS_PROXY)"))]
    #[case(&[("https_proxy", "proxy:3128")], Some("http://proxy:3128 (https_proxy)"))]
    #[case(&[("ALL_PROXY", "https://proxy/")], Some("https://proxy (ALL_PROXY)"))]
    #[case(&[("HTTP_PROXY", "http://proxy:3128"), ("http_proxy", "http://proxy:3128")], None)]
    #[case(
        &[("all_proxy", "socks5://a:1"), ("https_proxy", "http://[::1]:7890"), ("HTTP_PROXY", "b:2")],
        Some("http://[::1]:7890 (https_proxy)")
    )]
    #[case(&[("https_proxy", "b:2"), ("HTTPS_PROXY", "a:1")], Some("http://a:1 (HTTPS_PROXY)"))]
    #[case(&[], None)]
    fn the_proxy_for_https_is_chosen_as_by_other_tools(
        #[case] values: &[(&'static str, &str)],
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(chosen(values, "", REGION).as_deref(), expected);
    }

    #[rstest]
    #[case("", false)]
    #[case("*", true)]
    #[case("qcloud.com", true)]
    #[case("example.com, .im.qcloud.com", true)]
    #[case("xqcloud.com,cloud.com", false)]
    fn no_proxy_names_hosts_and_domains(#[case] except: &str, #[case] direct: bool) {
        assert_eq!(chosen(&[("HTTPS_PROXY", "a:1")], except, REGION).is_none(), direct);
    }

    #[rstest]
    #[case("http://127.0.0.1:9")]
    #[case("http://localhost:9")]
    #[case("http://[::1]:9")]
    #[case("https://127.0.0.1")]
    fn calls_to_this_machine_go_through_no_proxy(#[case] endpoint: &str) {
        let all = PROXY_VARIABLES.map(|name| (name, "socks5://a:1"));
        assert_eq!(chosen(&all, "", endpoint), None);
    }

    #[rstest]
    #[case("http://[proxy:3128")]
    #[case("http://proxy:port")]
    #[case("http://proxy:99999")]
    #[case("http://")]
    #[case("http:// proxy")]
    #[case("a b")]
    #[case("socks5:///x")]
    #[case("user:geheim@:3128")]
    #[case("http://user:geheim@proxy:x")]
    fn a_malformed_value_is_an_error_that_names_the_variable_alone(#[case] value: &str) {
        for variable in PROXY_VARIABLES {
            let message = proxies(&[(variable, value)], "*").expect_err(value).to_string();
            assert!(message.starts_with(&format!("{variable} is not the URL of a proxy: ")), "{message}");
            assert!(!message.contains("geheim"), "{message}");
        }
    }

    #[test]
    fn a_proxy_of_another_kind_is_an_error_only_where_calls_would_go_through_it() {
        let socks = proxies(&[("ALL_PROXY", "socks5://a:1")], "tencent.example").expect("a URL");
        let region = REGION.parse().expect("an endpoint");
        assert_eq!(socks.towards(&region).err(), Some(ProxyError::Scheme { variable: "ALL_PROXY" }));
        assert!(socks.towards(&"https://im.tencent.example".parse().expect("an endpoint")).expect("direct").is_none());
    }

    #[test]
    fn neither_user_nor_password_is_shown() {
        let proxies = proxies(&[("HTTPS_PROXY", "http://anna:geheim@proxy:3128")], "").expect("good");
        let proxy = proxies.towards(&REGION.parse().expect("an endpoint")).expect("good").expect("a proxy");
        assert_eq!(proxy.url().password(), Some("geheim"));
        for shown in [format!("{proxies:?}"), format!("{proxy:?}"), proxy.to_string()] {
            assert!(!shown.contains("geheim") && !shown.contains("anna"), "{shown}");
        }
    }
}
