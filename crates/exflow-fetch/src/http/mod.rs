//! Downloads over HTTP: with retries, resumed where they broke off, checked before they are kept.

mod download;
#[cfg(test)]
mod tests;

pub(crate) use download::Transfer;
pub use download::{Download, Size};

use crate::{Cancel, FetchError};
use exflow_packages::without_secrets;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How patient a client is.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// How long a connection may take, and how long a server may send nothing.
    pub patience: Duration,
    /// How many bytes a second a server must send on average. One that sends a byte now and then
    /// is never silent, and never done.
    pub slowest: u64,
    /// Over how long that is averaged.
    pub slowest_over: Duration,
    /// How often a request that fails is tried again in a row.
    pub retries: u32,
    /// How long the first pause before another try is; each further one is twice as long.
    pub pause: Duration,
    /// Use no network: whatever is not in the store is an error.
    pub offline: bool,
    /// A folder that holds downloads, each called by its sha256, and gets those that it lacks. Others may write to it:
    /// whatever is taken from it is checked.
    pub shared: Option<PathBuf>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(20),
            slowest: 1 << 10,
            slowest_over: Duration::from_mins(1),
            retries: 4,
            pause: Duration::from_millis(300),
            offline: false,
            shared: None,
        }
    }
}

impl HttpOptions {
    /// Whether so many bytes in this time are too few.
    fn is_slow(&self, bytes: u64, time: Duration) -> bool {
        u128::from(bytes) * 1000 < u128::from(self.slowest) * time.as_millis()
    }
}

/// How fast a server has been sending lately.
#[derive(Default)]
struct Pace {
    bytes: u64,
    /// How long was waited for them. What we do with them is not the server's fault.
    waited: Duration,
}

/// How often it is looked whether someone else is done with a download.
const PAUSE: Duration = Duration::from_millis(20);

/// The longest pause that a server can ask for with `Retry-After`.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Tells servers who we are.
pub trait Credentials: Sync {
    /// What the header `Authorization` of a request for `url` is to be; none where nothing is known.
    ///
    /// `refused` is what the server has just refused, which may be nothing: then it is asked how to prove
    /// who we are, which may take a while, unless that has been found out meanwhile.
    fn authorization(
        &self,
        url: &str,
        refused: Option<Option<&str>>,
    ) -> Result<Option<String>, FetchError>;

    /// Whether what they are for is nobody else's business.
    fn is_private(&self) -> bool {
        true
    }
}

/// How something is asked for.
#[derive(Clone, Copy, Default)]
struct Manner<'a> {
    /// The media types that are understood.
    accept: Option<&'a str>,
    credentials: Option<&'a dyn Credentials>,
}

/// An HTTP client. Its clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    agent: ureq::Agent,
    options: HttpOptions,
    cancel: Cancel,
}

/// How one request failed.
enum Trouble {
    /// Another try may help, after a pause that the server may have asked for.
    Passing(String, Option<Duration>),
    /// It isn't there.
    Missing,
    /// Another try won't help.
    Lasting(FetchError),
}

impl Client {
    /// A client. Proxies are taken from the environment, as other programs do.
    pub fn new(options: HttpOptions, cancel: Cancel) -> Self {
        let config = ureq::Agent::config_builder()
            .user_agent(concat!("exflow/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(options.patience))
            .timeout_recv_response(Some(options.patience))
            // A limit for silence: a body as a whole may take as long as it takes, unless it comes
            // too slowly (`Pace`).
            .timeout_per_read(Some(options.patience))
            .http_status_as_error(false)
            .max_redirects(5)
            // Whoever it is sent on to is not told who we are.
            .redirect_auth_headers(ureq::config::RedirectAuthHeaders::Never)
            .build();
        Self { agent: config.new_agent(), options, cancel }
    }

    /// Whether the network is not to be used.
    pub(crate) fn is_offline(&self) -> bool {
        self.options.offline
    }

    /// The wish to stop that this client looks at.
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// The same client, with another wish to stop that it looks at.
    #[must_use]
    pub fn stopping_with(&self, cancel: Cancel) -> Self {
        Self { cancel, ..self.clone() }
    }

    /// A text of at most `limit` bytes, whose content isn't known beforehand; none where there is
    /// nothing.
    pub fn get(&self, url: &str, limit: u64) -> Result<Option<Vec<u8>>, FetchError> {
        self.get_in(url, limit, Manner::default())
    }

    /// The same, of one of the media types in `accept`, from a server that may want to know who we are.
    pub fn get_as(
        &self,
        url: &str,
        limit: u64,
        accept: &str,
        credentials: &dyn Credentials,
    ) -> Result<Option<Vec<u8>>, FetchError> {
        let credentials = Some(credentials);
        self.get_in(url, limit, Manner { accept: Some(accept), credentials })
    }

    fn get_in(
        &self,
        url: &str,
        limit: u64,
        manner: Manner<'_>,
    ) -> Result<Option<Vec<u8>>, FetchError> {
        let too_large = || FetchError::TooLarge { url: shown(url), limit };
        if let Some(path) = url.strip_prefix("file://") {
            let mut bytes = Vec::new();
            let read = File::open(path)
                .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes));
            return match read {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => {
                    Err(FetchError::Unreachable { url: shown(url), reason: error.to_string() })
                }
                Ok(_) if bytes.len() as u64 > limit => Err(too_large()),
                Ok(_) => Ok(Some(bytes)),
            };
        }
        if self.options.offline {
            return Err(FetchError::Offline { what: shown(url) });
        }
        let body = self.patiently(url, |_| {
            let mut body = Vec::new();
            let mut response = self.request(url, 0, manner)?;
            let mut reader = response.body_mut().as_reader();
            let mut buffer = vec![0; 64 << 10];
            let mut pace = Pace::default();
            loop {
                match self.read(&mut reader, &mut buffer, &mut pace)? {
                    0 => return Ok(body),
                    length => body.extend_from_slice(&buffer[..length]),
                }
                if body.len() as u64 > limit {
                    return Err(Trouble::Lasting(too_large()));
                }
            }
        });
        match body {
            Err(FetchError::NotFound { .. }) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Reads what there is, unless someone wishes to stop, or it comes too slowly.
    fn read(
        &self,
        reader: &mut dyn Read,
        buffer: &mut [u8],
        pace: &mut Pace,
    ) -> Result<usize, Trouble> {
        if pace.waited >= self.options.slowest_over {
            if self.options.is_slow(pace.bytes, pace.waited) {
                let reason = format!("it sent less than {} bytes a second", self.options.slowest);
                return Err(Trouble::Passing(reason, None));
            }
            *pace = Pace::default();
        }
        let begun = Instant::now();
        loop {
            if self.cancel.is_cancelled() {
                return Err(Trouble::Lasting(FetchError::Cancelled));
            }
            match reader.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(passing(&error)),
                Ok(length) => {
                    pace.bytes += length as u64;
                    pace.waited += begun.elapsed();
                    return Ok(length);
                }
            }
        }
    }

    /// Asks for a file, or for the rest of it from a byte on. The answer has status 200, or where a
    /// rest was asked for 206 or 416.
    fn request(
        &self,
        url: &str,
        from: u64,
        manner: Manner<'_>,
    ) -> Result<ureq::http::Response<ureq::Body>, Trouble> {
        let authorization = |refused: Option<Option<&str>>| match manner.credentials {
            Some(credentials) => {
                credentials.authorization(url, refused).map_err(|error| match error {
                    FetchError::Unreachable { reason, .. } => Trouble::Passing(reason, None),
                    other => Trouble::Lasting(other),
                })
            }
            None => Ok(None),
        };
        let first = authorization(None)?;
        let mut response = self.request_with(url, from, manner, first.as_deref())?;
        if response.status() == 401
            && let Some(header) = authorization(Some(first.as_deref()))?
        {
            response = self.request_with(url, from, manner, Some(&header))?;
        }
        let status = response.status();
        match status.as_u16() {
            200 => Ok(response),
            206 | 416 if from > 0 => Ok(response),
            401 | 403 if manner.credentials.is_some() => {
                let reason = format!("the server answered {status}");
                Err(Trouble::Lasting(FetchError::Denied { url: shown(url), reason }))
            }
            404 | 410 => Err(Trouble::Missing),
            429 | 500..=599 => {
                let pause = response
                    .headers()
                    .get("retry-after")
                    .and_then(|value| value.to_str().ok()?.parse().ok())
                    .map(|seconds| Duration::from_secs(seconds).min(LONGEST_PAUSE));
                Err(Trouble::Passing(format!("the server answered {status}"), pause))
            }
            _ => {
                let reason = format!("the server answered {status}");
                Err(Trouble::Lasting(FetchError::Unreachable { url: shown(url), reason }))
            }
        }
    }

    /// Asks once, whatever the answer is.
    fn request_with(
        &self,
        url: &str,
        from: u64,
        manner: Manner<'_>,
        authorization: Option<&str>,
    ) -> Result<ureq::http::Response<ureq::Body>, Trouble> {
        let mut request = self.agent.get(url);
        if from > 0 {
            request = request.header("range", format!("bytes={from}-"));
        }
        if let Some(accept) = manner.accept {
            request = request.header("accept", accept);
        }
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        request.call().map_err(|error| match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::TooManyRedirects => {
                let reason = error.to_string().replace(url, &shown(url));
                Trouble::Lasting(FetchError::Unreachable { url: shown(url), reason })
            }
            error => Trouble::Passing(error.to_string().replace(url, &shown(url)), None),
        })
    }

    /// Tries until it works, won't work, or has failed too often without getting on. `attempt` is
    /// given a number of its own to remember how far it was.
    fn patiently<T>(
        &self,
        url: &str,
        mut attempt: impl FnMut(&mut u64) -> Result<T, Trouble>,
    ) -> Result<T, FetchError> {
        let mut failures = 0;
        let mut reached = 0;
        loop {
            if self.cancel.is_cancelled() {
                return Err(FetchError::Cancelled);
            }
            let before = reached;
            match attempt(&mut reached) {
                Ok(value) => return Ok(value),
                Err(Trouble::Missing) => return Err(FetchError::NotFound { url: shown(url) }),
                Err(Trouble::Lasting(error)) => return Err(error),
                Err(Trouble::Passing(reason, asked)) => {
                    failures = if reached > before { 1 } else { failures + 1 };
                    if failures > self.options.retries {
                        return Err(FetchError::Unreachable { url: shown(url), reason });
                    }
                    let doubled = self.options.pause * 2u32.saturating_pow(failures - 1);
                    self.sleep(asked.unwrap_or(doubled).min(LONGEST_PAUSE));
                }
            }
        }
    }

    /// Sleeps, unless someone wishes to stop.
    fn sleep(&self, pause: Duration) {
        let step = Duration::from_millis(50);
        let mut left = pause;
        while !left.is_zero() && !self.cancel.is_cancelled() {
            std::thread::sleep(left.min(step));
            left = left.saturating_sub(step);
        }
    }
}

fn passing(error: &io::Error) -> Trouble {
    Trouble::Passing(error.to_string(), None)
}

/// An address as it may be shown: without the name and the password that may be in it, and without its query, which may be
/// a token.
pub(crate) fn shown(url: &str) -> String {
    let query = match url.find(['?', '#']) {
        Some(at) if url[at..].len() > 1 => "?…",
        _ => "",
    };
    let shown = without_secrets(url);
    // What has no scheme keeps its query there: it may be a path.
    shown.split(['?', '#']).next().unwrap_or_default().to_owned() + query
}
