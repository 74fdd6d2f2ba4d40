//! Which server a request may go to, and whether TLS is on the way.
//!
//! Every request carries the access token, so plain http is for this machine and for hosts that the
//! user named as such. Everything else is spoken to over https, whatever a list of servers says.

use std::{fmt, net::IpAddr};

use url::{Host, Url};

use crate::{Error, ErrorKind};

/// Hosts that may be spoken to without TLS. Loopback always may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlainHttp {
    anywhere: bool,
    hosts: Vec<String>,
}

impl PlainHttp {
    /// Only this machine: 127.0.0.0/8, `::1` and `localhost`.
    pub fn loopback() -> Self {
        Self::default()
    }

    /// Any host. The access token then travels in the clear.
    pub fn anywhere() -> Self {
        Self { anywhere: true, hosts: Vec::new() }
    }

    /// Also the host of `base`, on any port, if the user wrote that address with `http://` himself.
    #[must_use]
    pub fn and_base(mut self, base: &ServerUrl) -> Self {
        if base.0.scheme() == "http" {
            self.hosts.extend(base.0.host_str().map(str::to_owned));
        }
        self
    }

    fn allows(&self, url: &Url) -> bool {
        self.anywhere
            || is_loopback(url)
            || url.host_str().is_some_and(|host| self.hosts.iter().any(|known| known == host))
    }
}

/// The checked address of a server: scheme, host, port and perhaps a path, without a slash at the end.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ServerUrl(Url);

impl ServerUrl {
    /// An address that the user gave. Its scheme is his choice; without one it is https, or http for
    /// this machine.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if the text is no server address: another scheme, no host, a user name,
    /// a query or a fragment.
    pub fn base(text: &str) -> Result<Self, Error> {
        parse(text).map(Self)
    }

    /// An address that the service gave. `http://` becomes `https://` unless `plain_http` allows it;
    /// an explicit port is kept.
    ///
    /// # Errors
    ///
    /// As [`base`](Self::base).
    pub fn named_by_service(text: &str, plain_http: &PlainHttp) -> Result<Self, Error> {
        let mut url = parse(text)?;
        if url.scheme() == "http" && !plain_http.allows(&url) {
            url.set_scheme("https").map_err(|()| refuse(text, "it cannot be reached over https"))?;
        }
        Ok(Self(url))
    }

    /// The address of `path` on this server. `path` starts with a slash and may have a query.
    pub fn join(&self, path: &str) -> String {
        format!("{self}{path}")
    }

    /// Host and port, for messages.
    pub fn host(&self) -> String {
        host_of(&self.0)
    }

    /// True if TLS is used.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// True for this machine: 127.0.0.0/8, `::1` and `localhost`.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerUrl({self})")
    }
}

/// Parses the URL of a request, and refuses plain http to a far host: the last line of defence.
pub(crate) fn check_request(text: &str, plain_http: &PlainHttp) -> Result<Url, Error> {
    let url = Url::parse(text).map_err(|e| invalid("the request's url", &e.to_string()))?;
    check_parts(&url).map_err(|why| invalid("the request's url", why))?;
    if url.scheme() == "http" && !plain_http.allows(&url) {
        let host = host_of(&url);
        return Err(Error::new(
            ErrorKind::Invalid,
            format!(
                "plain http to {host} would show the access token to everyone on the way; use https, or allow plain http"
            ),
        ));
    }
    Ok(url)
}

/// Host and port for messages; never a path or a query.
pub(crate) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
        }
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).to_canonical().is_loopback(),
        None => false,
    }
}

fn parse(text: &str) -> Result<Url, Error> {
    let text = text.trim();
    let full = match text.split_once("://") {
        Some(_) => Url::parse(text),
        // Another kind of URL, such as `unix:/run/x.sock`.
        None if text.trim_start_matches('/').split('/').next().is_some_and(|head| head.ends_with(':')) => {
            return Err(refuse(text, "only http and https are spoken"));
        }
        // `localhost:8080` would parse as a URL of scheme `localhost`.
        None => Url::parse(&format!("http://{}", text.trim_start_matches("//"))),
    };
    let mut url = full.map_err(|e| refuse(text, &e.to_string()))?;
    check_parts(&url).map_err(|why| refuse(text, why))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse(text, "a query or fragment has no place in it"));
    }
    if !text.contains("://") && !is_loopback(&url) {
        if url.port().is_none() && url.domain().is_some_and(|name| !name.contains('.')) {
            return Err(refuse(
                text,
                "it is a word; if that is the name of a host, write https:// in front of it",
            ));
        }
        url.set_scheme("https").map_err(|()| refuse(text, "it cannot be reached over https"))?;
    }
    Ok(url)
}

fn check_parts(url: &Url) -> Result<(), &'static str> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err("only http and https are spoken");
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("it names no host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a user name or password has no place in it");
    }
    Ok(())
}

fn refuse(text: &str, why: &str) -> Error {
    invalid(&format!("server address {:?}", redact(text)), why)
}

fn invalid(what: &str, why: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("{what} is not usable: {why}"))
}

/// The text without what may be secret in it: user information, query and fragment.
pub(crate) fn redact(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    match text.rsplit_once('@') {
        Some((head, host)) => match head.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://{host}"),
            None => host.to_owned(),
        },
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_servers_are_upgraded_and_near_ones_left_alone() {
        let base = ServerUrl::base("http://nas.example:8080").unwrap();
        let plain = PlainHttp::loopback().and_base(&base);
        for (given, wanted) in [
            ("http://openapi-upload.123242.com", "https://openapi-upload.123242.com"),
            ("http://openapi-upload.123242.com:80/", "https://openapi-upload.123242.com"),
            ("http://far.example:8080", "https://far.example:8080"),
            ("https://far.example/", "https://far.example"),
            ("HTTP://Far.Example", "https://far.example"),
            ("far.example", "https://far.example"),
            ("//far.example", "https://far.example"),
            ("https://gateway", "https://gateway"),
            ("gateway:8443", "https://gateway:8443"),
            (" http://127.0.0.1:9000/ ", "http://127.0.0.1:9000"),
            ("http://127.8.0.1", "http://127.8.0.1"),
            ("127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("localhost:9000", "http://localhost:9000"),
            ("http://[::1]:9000", "http://[::1]:9000"),
            ("http://nas.example:9001", "http://nas.example:9001"),
            ("http://gate.example/pan/", "https://gate.example/pan"),
            ("http://10.0.0.1", "https://10.0.0.1"),
            ("http://localhost.evil.example", "https://localhost.evil.example"),
            ("http://127.0.0.1.evil.example", "https://127.0.0.1.evil.example"),
        ] {
            assert_eq!(ServerUrl::named_by_service(given, &plain).unwrap().to_string(), wanted, "{given}");
        }
        let anywhere = ServerUrl::named_by_service("http://far.example", &PlainHttp::anywhere()).unwrap();
        assert_eq!(anywhere.join("/upload/v2/file/slice"), "http://far.example/upload/v2/file/slice");
        let tls_base = PlainHttp::loopback().and_base(&ServerUrl::base("https://far.example").unwrap());
        assert!(ServerUrl::named_by_service("http://far.example", &tls_base).unwrap().is_https());
    }

    #[test]
    fn what_is_no_server_address_is_refused_without_repeating_secrets() {
        for given in [
            "",
            "http://",
            "ftp://far.example",
            "file:///etc/passwd",
            "http://me:hunter2@far.example",
            "me:hunter2@far.example",
            "https://far.example/?token=hunter2",
            "https://far.example/#hunter2",
            "http://far example",
            "http://far.example:99999",
            "unix:/run/x.sock",
            "nonsense",
        ] {
            let error = ServerUrl::base(given).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{given}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
