//! What a failed exchange means: from the chain of causes below reqwest to one [`Error`].

use std::{error::Error as StdError, io};

use crate::{
    Clocks, Error, ErrorKind,
    connect::DnsFailed,
    flow::{Phase, RanOut},
};

/// What is known of an exchange beside the error itself.
pub(crate) struct Scene<'a> {
    pub(crate) host: &'a str,
    pub(crate) proxied: bool,
    pub(crate) phase: Phase,
    pub(crate) source_error: Option<io::Error>,
}

/// A clock ran out before the answer's head came.
pub(crate) fn ran_out(clock: RanOut, host: &str, proxied: bool, clocks: &Clocks) -> Error {
    let through = if proxied { " through the proxy" } else { "" };
    let (kind, message) = match clock {
        RanOut::Connect => {
            (ErrorKind::Connect, format!("no connection to {host}{through} within {:?}", clocks.connect))
        }
        RanOut::Stall => (ErrorKind::Stalled, format!("{host} took no byte for {:?}", clocks.stall)),
        RanOut::Rate(rate) => (
            ErrorKind::Stalled,
            format!(
                "{host} took only {rate} bytes per second, below the {} asked for",
                clocks.bytes_per_sec_min
            ),
        ),
        RanOut::Body => {
            let limit = clocks.body.unwrap_or_default();
            (ErrorKind::BodyTimeout, format!("the body did not go out to {host} within {limit:?}"))
        }
        RanOut::Answer => (
            ErrorKind::AnswerTimeout,
            format!("no answer from {host} within {:?} of the last byte", clocks.answer),
        ),
    };
    Error::new(kind, message)
}

/// The exchange broke off before the answer's head came.
pub(crate) fn no_answer(error: &(dyn StdError + 'static), scene: Scene<'_>) -> Error {
    let host = scene.host;
    if let Some(cause) = scene.source_error {
        return Error::new(ErrorKind::Source, format!("the data for {host} could not be read"))
            .with_source(cause);
    }
    let (kind, message) = match kind_of(error, &scene) {
        ErrorKind::Dns => (ErrorKind::Dns, format!("the name {host} did not resolve")),
        ErrorKind::Tls if certificate(error) => (
            ErrorKind::Tls,
            format!("the certificate of {host} is not trusted; name its CA in a ca file if it is yours"),
        ),
        ErrorKind::Tls => (ErrorKind::Tls, format!("no tls connection to {host}")),
        ErrorKind::Proxy => (ErrorKind::Proxy, format!("the proxy did not connect to {host}")),
        ErrorKind::Connect => (ErrorKind::Connect, format!("no connection to {host}")),
        ErrorKind::BadAnswer => (ErrorKind::BadAnswer, format!("what {host} answered is not http")),
        ErrorKind::Interrupted if scene.phase == Phase::Sent => {
            (ErrorKind::Interrupted, format!("{host} closed the connection without an answer"))
        }
        ErrorKind::Interrupted => {
            (ErrorKind::Interrupted, format!("the connection to {host} broke while the body went out"))
        }
        ErrorKind::Invalid => (ErrorKind::Invalid, "the request cannot be put into http".to_owned()),
        _ => (ErrorKind::Other, format!("the exchange with {host} failed")),
    };
    with_cause(Error::new(kind, message), error)
}

/// The answer's head came, but its body did not come whole.
pub(crate) fn cut_short(error: &(dyn StdError + 'static), host: &str, status: u16, len: usize) -> Error {
    let message = format!("the answer of {host} (status {status}) broke off after {len} bytes");
    with_cause(Error::new(ErrorKind::BadAnswer, message), error)
}

fn kind_of(error: &(dyn StdError + 'static), scene: &Scene<'_>) -> ErrorKind {
    if find::<DnsFailed>(error).is_some() {
        return if scene.proxied { ErrorKind::Proxy } else { ErrorKind::Dns };
    }
    if find::<rustls::Error>(error).is_some() && scene.phase == Phase::Connecting {
        return ErrorKind::Tls;
    }
    if find::<hyper_util::client::legacy::Error>(error).is_some_and(|e| e.is_connect()) {
        return if scene.proxied { ErrorKind::Proxy } else { ErrorKind::Connect };
    }
    if find::<reqwest::Error>(error).is_some_and(reqwest::Error::is_builder) {
        return ErrorKind::Invalid;
    }
    match find::<hyper::Error>(error) {
        Some(hyper) if hyper.is_parse() => ErrorKind::BadAnswer,
        Some(hyper) if hyper.is_user() && !hyper.is_body_write_aborted() => ErrorKind::Other,
        Some(_) => ErrorKind::Interrupted,
        None if find::<io::Error>(error).is_some() => ErrorKind::Interrupted,
        None => ErrorKind::Other,
    }
}

/// True if the other side's certificate is at fault.
fn certificate(error: &(dyn StdError + 'static)) -> bool {
    matches!(find::<rustls::Error>(error), Some(rustls::Error::InvalidCertificate(_)))
}

/// Adds the innermost cause that says something. reqwest's own text is left out: it repeats the URL.
fn with_cause(to: Error, error: &(dyn StdError + 'static)) -> Error {
    if let Some(tls) = find::<rustls::Error>(error) {
        return to.with_source(tls.clone());
    }
    if let Some(code) = find::<io::Error>(error).and_then(io::Error::raw_os_error) {
        return to.with_source(io::Error::from_raw_os_error(code));
    }
    let speaks = |cause: &&(dyn StdError + 'static)| !cause.is::<reqwest::Error>();
    let mut texts: Vec<String> = chain(error).filter(speaks).map(ToString::to_string).collect();
    texts.dedup();
    if texts.is_empty() { to } else { to.with_source(texts.join(": ")) }
}

fn find<'e, T: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e T> {
    chain(error).find_map(|cause| cause.downcast_ref())
}

/// The error and its causes, those wrapped in an [`io::Error`] included.
fn chain<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |cause| {
        let cause: &'e (dyn StdError + 'static) = *cause;
        match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => cause.source(),
        }
    })
}
