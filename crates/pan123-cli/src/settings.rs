//! What the program is told: by flag, else by environment, else by configuration file.

use std::{
    env, fs,
    io::{self, Read as _},
    path::{self, Path, PathBuf},
    time::Duration,
};

use pan123_upload::{BASE_URL, Error, ErrorKind, proto::machine::Parallel};
use serde::{Deserialize, Deserializer, de};

use crate::console::Console;

/// One source of settings: the flags, the environment, or the file. `None`: it does not say.
///
/// No `Debug`: it holds secrets.
#[derive(Clone, Default, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Layer {
    /// Address of the service's API, for example an emulator's. With http://, your token and your files can be read
    /// by everyone on the way
    #[arg(long, value_name = "URL", help_heading = "Account")]
    pub(crate) base_url: Option<String>,

    /// A ready access token. Others can see a flag in the list of processes: prefer the environment or the file
    #[arg(long, value_name = "TOKEN", help_heading = "Account")]
    pub(crate) access_token: Option<String>,

    /// Client id of your developer account
    #[arg(long, value_name = "ID", help_heading = "Account")]
    pub(crate) client_id: Option<String>,

    /// The secret that goes with it; as a flag, others can see it too
    #[arg(long, value_name = "SECRET", help_heading = "Account")]
    pub(crate) client_secret: Option<String>,

    /// An OAuth2 refresh token; goes with an app's id and secret
    #[arg(long, value_name = "TOKEN", help_heading = "Account")]
    pub(crate) refresh_token: Option<String>,

    /// Folder for tokens, digests and unfinished uploads
    #[arg(long, value_name = "DIR", help_heading = "Account")]
    pub(crate) state_dir: Option<PathBuf>,

    /// Proxy for all requests (http://, https://, socks5:// or socks5h://); otherwise as HTTPS_PROXY says
    #[arg(long, value_name = "URL", help_heading = "Network")]
    pub(crate) proxy: Option<String>,

    /// PEM file with certificates to trust besides the system's
    #[arg(long, value_name = "FILE", help_heading = "Network")]
    pub(crate) ca_file: Option<PathBuf>,

    /// Allow plain http to every host: your token is then readable by everyone on the way
    #[arg(long, num_args = 0, default_missing_value = "true", help_heading = "Network")]
    pub(crate) plain_http: Option<bool>,

    /// Use the request rates of a paying account
    #[arg(long, num_args = 0, default_missing_value = "true", help_heading = "Network")]
    pub(crate) vip: Option<bool>,

    /// How long to keep trying when nothing gets through, such as 90s, 10m or 2h, and 0s for one try [default: 60s, and 2m
    /// where the service itself says that there are too many requests; a pause that it asks for may take 10m]
    #[arg(long, value_name = "TIME", value_parser = time, help_heading = "Network")]
    #[serde(deserialize_with = "written_time")]
    pub(crate) retry_for: Option<Duration>,

    /// Most bytes to send per second, over all files, such as 500K or 2M [default: no limit]
    #[arg(long, value_name = "RATE", value_parser = rate, help_heading = "Network")]
    #[serde(deserialize_with = "written_rate")]
    pub(crate) limit_rate: Option<u64>,

    /// Slices in flight: auto, or a number from 1 to 64 [default: auto]
    #[arg(long, value_name = "auto|N", value_parser = parallel, help_heading = "Network")]
    #[serde(deserialize_with = "written_parallel")]
    pub(crate) parallel: Option<Parallel>,

    /// Plugin to load, with its configuration; may be given several times. It is code that runs as this program
    #[arg(long = "plugin", value_name = "FILE[=CONFIG]", value_parser = plugin, help_heading = "Account")]
    #[serde(skip)]
    pub(crate) plugins: Vec<PluginFile>,
}

/// A plugin as it is named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PluginFile {
    /// Absolute.
    pub(crate) path: PathBuf,
    pub(crate) config: String,
}

/// How to log in.
pub(crate) enum Login {
    /// Nothing was given.
    Missing,
    /// Only a part of what it takes was given: what is missing, and the variable for it.
    Incomplete(&'static str, &'static str),
    /// With a ready token.
    Token(String),
    /// With a developer's id and secret.
    Developer { client_id: String, client_secret: String },
    /// With an app's id and secret and a refresh token.
    Refresh { client_id: String, client_secret: String, refresh_token: String },
}

/// All settings, from all sources.
pub(crate) struct Settings {
    pub(crate) base_url: String,
    pub(crate) login: Login,
    pub(crate) state_dir: PathBuf,
    /// Where unfinished uploads are kept; `None`: they are not.
    pub(crate) journal_dir: Option<PathBuf>,
    pub(crate) proxy: Option<String>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) plain_http: bool,
    pub(crate) vip: bool,
    pub(crate) retry_for: Option<Duration>,
    pub(crate) limit_rate: Option<u64>,
    pub(crate) parallel: Parallel,
    pub(crate) plugins: Vec<PluginFile>,
}

impl Settings {
    /// Puts together what flags, environment and file say.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] when the environment or the file cannot be understood.
    pub(crate) fn load(flags: &Layer, config: Option<&Path>, console: &Console) -> Result<Self, Error> {
        Self::merge([flags.clone(), environment()?, file(config, console)?])
    }

    fn merge(layers: [Layer; 3]) -> Result<Self, Error> {
        let login = login(&layers);
        let all = layers.into_iter().reduce(Layer::or).unwrap_or_default();
        let state_dir = match all.state_dir {
            Some(dir) => dir,
            None => pan123_upload::state_dir()?,
        };
        Ok(Self {
            base_url: all.base_url.unwrap_or_else(|| BASE_URL.to_owned()),
            login,
            journal_dir: Some(state_dir.join("uploads")),
            state_dir,
            proxy: all.proxy,
            ca_file: all.ca_file,
            plain_http: all.plain_http.unwrap_or(false),
            vip: all.vip.unwrap_or(false),
            retry_for: all.retry_for,
            limit_rate: all.limit_rate,
            parallel: all.parallel.unwrap_or_default(),
            plugins: all.plugins,
        })
    }

    /// Whether the service is an emulator of our own, of which nothing is to be kept.
    pub(crate) fn is_local(&self) -> bool {
        self.journal_dir.is_none()
    }

    /// Where tokens are kept.
    pub(crate) fn token_dir(&self) -> PathBuf {
        self.state_dir.join("tokens")
    }
}

impl Layer {
    /// What this layer says, and for the rest what the one below says.
    fn or(self, below: Self) -> Self {
        Self {
            base_url: self.base_url.or(below.base_url),
            access_token: self.access_token.or(below.access_token),
            client_id: self.client_id.or(below.client_id),
            client_secret: self.client_secret.or(below.client_secret),
            refresh_token: self.refresh_token.or(below.refresh_token),
            state_dir: self.state_dir.or(below.state_dir),
            proxy: self.proxy.or(below.proxy),
            ca_file: self.ca_file.or(below.ca_file),
            plain_http: self.plain_http.or(below.plain_http),
            vip: self.vip.or(below.vip),
            retry_for: self.retry_for.or(below.retry_for),
            limit_rate: self.limit_rate.or(below.limit_rate),
            parallel: self.parallel.or(below.parallel),
            plugins: self.plugins,
        }
    }

    fn has_secrets(&self) -> bool {
        self.access_token.is_some() || self.client_secret.is_some() || self.refresh_token.is_some()
    }

    fn names_client(&self) -> bool {
        self.client_id.is_some() || self.client_secret.is_some() || self.refresh_token.is_some()
    }
}

/// The topmost layer that says anything about it decides how to log in; in one layer a ready token wins.
fn login(layers: &[Layer; 3]) -> Login {
    let Some(top) = layers.iter().find(|layer| layer.access_token.is_some() || layer.names_client()) else {
        return Login::Missing;
    };
    if let Some(token) = &top.access_token {
        return Login::Token(token.clone());
    }
    let all = layers.iter().cloned().reduce(Layer::or).unwrap_or_default();
    match (all.client_id, all.client_secret, all.refresh_token) {
        (None, _, _) => Login::Incomplete("the client id", "PAN123_CLIENT_ID"),
        (_, None, _) => Login::Incomplete("the client secret", "PAN123_CLIENT_SECRET"),
        (Some(client_id), Some(client_secret), None) => Login::Developer { client_id, client_secret },
        (Some(client_id), Some(client_secret), Some(refresh_token)) => {
            Login::Refresh { client_id, client_secret, refresh_token }
        }
    }
}

fn environment() -> Result<Layer, Error> {
    Ok(Layer {
        base_url: variable("PAN123_BASE_URL")?,
        access_token: variable("PAN123_ACCESS_TOKEN")?,
        client_id: variable("PAN123_CLIENT_ID")?,
        client_secret: variable("PAN123_CLIENT_SECRET")?,
        refresh_token: variable("PAN123_REFRESH_TOKEN")?,
        state_dir: path_variable("PAN123_STATE_DIR"),
        ..Layer::default()
    })
}

/// A variable's text. Set to nothing is not set.
fn variable(name: &str) -> Result<Option<String>, Error> {
    match env::var(name) {
        Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => {
            Err(Error::new(ErrorKind::Usage, "read environment", format!("{name} is not UTF-8"))
                .with_advice("Set it to plain text, or unset it."))
        }
    }
}

fn path_variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The configuration file: the one that the user names, or the usual one if there is one.
///
/// Warns of one with secrets that others may read.
fn file(named: Option<&Path>, console: &Console) -> Result<Layer, Error> {
    let named = named.map(Path::to_owned).or_else(|| path_variable("PAN123_CONFIG"));
    let path = match &named {
        Some(path) => path.clone(),
        None => match etcetera::choose_base_strategy() {
            Ok(base) => etcetera::BaseStrategy::config_dir(&base).join("pan123").join("config.toml"),
            // A user without a home has no file there.
            Err(_) => return Ok(Layer::default()),
        },
    };
    let error = |message: String| {
        Error::new(ErrorKind::Usage, "read configuration", format!("{}: {message}", path.display()))
    };
    match read(&path) {
        Ok((text, is_open)) => {
            let layer = parse(&text).map_err(|message| {
                error(message)
                    .with_advice("Correct the file; \"pan123 help upload\" lists what may stand in it.")
            })?;
            if is_open && layer.has_secrets() {
                let path = path.display();
                console.note(format!("warning: others can read the secrets in {path}: chmod 600 {path}"));
            }
            Ok(layer)
        }
        Err(missing) if named.is_none() && missing.kind() == io::ErrorKind::NotFound => Ok(Layer::default()),
        Err(cause) => Err(error(cause.to_string())
            .with_advice("Name a file that can be read, with --config or PAN123_CONFIG, or none.")),
    }
}

/// The text of a file, and whether others than its owner may read it.
fn read(path: &Path) -> io::Result<(String, bool)> {
    let mut file = fs::File::open(path)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    #[cfg(unix)]
    let is_open = std::os::unix::fs::MetadataExt::mode(&file.metadata()?) & 0o044 != 0;
    #[cfg(not(unix))]
    let is_open = false;
    Ok((text, is_open))
}

/// Reads a configuration file. Its text is in no error, because there may be secrets in it.
pub(crate) fn parse(text: &str) -> Result<Layer, String> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
        let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        // "invalid type: string \"…\", expected a boolean" would show what was written.
        let message = match (error.message(), error.message().rsplit_once(", expected ")) {
            (message, Some((_, expected))) if message.starts_with("invalid ") => {
                format!("expected {expected}")
            }
            (message, _) => message.to_owned(),
        };
        format!("{line}{message}")
    })
}

/// `90`, `90s`, `10m` or `2h`.
fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.char_indices().next_back() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        _ => (text, 1),
    };
    // Up to a year; nobody waits longer, and clocks can count it.
    let seconds = number.parse::<u32>().ok().and_then(|number| number.checked_mul(unit));
    match seconds {
        Some(seconds @ 0..=31_536_000) => Ok(Duration::from_secs(seconds.into())),
        _ => Err("a time is a whole number with s, m or h behind it, such as 90s".to_owned()),
    }
}

/// `FILE` or `FILE=CONFIG`. A relative path is relative to where we are, and is searched for nowhere else.
fn plugin(text: &str) -> Result<PluginFile, String> {
    let (path, config) = text.split_once('=').unwrap_or((text, ""));
    let path = path::absolute(path).map_err(|error| format!("{error}; name the plugin's file"))?;
    Ok(PluginFile { path, config: config.to_owned() })
}

/// Bytes a second: `300000`, or with K, M or G (times 1024) behind the number.
fn rate(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.char_indices().next_back() {
        Some((at, 'K')) => (&text[..at], 1 << 10),
        Some((at, 'M')) => (&text[..at], 1 << 20),
        Some((at, 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    match number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)) {
        Some(rate @ 1..) => Ok(rate),
        _ => Err("a rate is a whole number above 0 with K, M or G behind it, such as 500K".to_owned()),
    }
}

fn parallel(text: &str) -> Result<Parallel, String> {
    match (text, text.parse()) {
        ("auto", _) => Ok(Parallel::Auto),
        (_, Ok(number @ 1..=64)) => Ok(Parallel::Exactly(number)),
        _ => Err("expected auto or a number from 1 to 64".to_owned()),
    }
}

/// A number or a text in the file.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number or a text")]
enum Written {
    Number(i64),
    Text(String),
}

impl Written {
    fn read<'de, T, D: Deserializer<'de>>(
        deserializer: D,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, D::Error> {
        let text = match Self::deserialize(deserializer)? {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        };
        parse(&text).map(Some).map_err(de::Error::custom)
    }
}

fn written_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    Written::read(deserializer, time)
}

fn written_rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Written::read(deserializer, rate)
}

fn written_parallel<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Parallel>, D::Error> {
    Written::read(deserializer, parallel)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(token: &str, id: &str, secret: &str) -> Layer {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Layer {
            access_token: some(token),
            client_id: some(id),
            client_secret: some(secret),
            ..Layer::default()
        }
    }

    fn login_of(layers: [Layer; 3]) -> String {
        match login(&layers) {
            Login::Missing => "nothing".into(),
            Login::Incomplete(what, _) => format!("without {what}"),
            Login::Token(token) => token,
            Login::Developer { client_id, client_secret } => format!("{client_id} {client_secret}"),
            Login::Refresh { refresh_token, .. } => refresh_token,
        }
    }

    #[test]
    fn the_topmost_layer_decides_how_to_log_in() {
        let none = || layer("", "", "");
        assert_eq!(login_of([none(), none(), none()]), "nothing");
        assert_eq!(login_of([layer("t", "", ""), layer("", "i", "s"), none()]), "t");
        assert_eq!(login_of([layer("", "i", ""), layer("t", "", "s"), none()]), "i s");
        assert_eq!(login_of([none(), layer("t", "i", "s"), none()]), "t");
        assert_eq!(login_of([none(), none(), layer("", "i", "s")]), "i s");
        assert_eq!(login_of([none(), layer("", "i", ""), none()]), "without the client secret");
        assert_eq!(login_of([none(), none(), layer("", "", "s")]), "without the client id");
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_that_over_the_file() {
        let url = |text: &str| Layer { base_url: Some(text.into()), ..Layer::default() };
        let state = Layer { state_dir: Some("s".into()), ..Layer::default() };
        let of =
            |flag, variable, file: Layer| Settings::merge([flag, variable, file.or(state.clone())]).unwrap();
        assert_eq!(of(url("a"), url("b"), url("c")).base_url, "a");
        assert_eq!(of(Layer::default(), url("b"), url("c")).base_url, "b");
        assert_eq!(of(Layer::default(), Layer::default(), url("c")).base_url, "c");
        assert_eq!(of(Layer::default(), Layer::default(), Layer::default()).base_url, BASE_URL);
    }

    #[test]
    fn files() {
        let all =
            parse("base_url = 'u'\nparallel = 8\nretry_for = '2h'\nvip = true\n").map_err(|_| ()).unwrap();
        assert_eq!(all.parallel, Some(Parallel::Exactly(8)));
        assert_eq!(all.retry_for, Some(Duration::from_secs(7200)));
        let auto = parse("parallel = 'auto'\nretry_for = 5").map_err(|_| ()).unwrap();
        assert_eq!((auto.parallel, auto.retry_for), (Some(Parallel::Auto), Some(Duration::from_secs(5))));
    }

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let message = parse(text).err().unwrap_or_default();
        assert!(message.contains(expected), "{message:?} should contain {expected:?}");
        assert!(!message.contains("hunter2"), "{message:?} shows a secret");
    }

    #[test]
    fn files_with_mistakes_are_refused_without_showing_secrets() {
        refused("vip = true\nacces_token = 'hunter2'", "line 2: unknown field `acces_token`");
        refused("vip = 'hunter2'", "line 1: expected a boolean");
        refused("client_secret = hunter2", "line 1: ");
        refused("access_token = 'hunter2", "line 1: ");
        refused("parallel = 65", "from 1 to 64");
        refused("retry_for = 'hunter2'", "a time is a whole number");
        refused("[hunter]\nx = 1", "unknown field `hunter`");
    }

    #[test]
    fn plugins_are_absolute_and_have_what_follows_the_first_equals_sign() {
        let file = |path: &str, config: &str| Ok(PluginFile { path: path.into(), config: config.into() });
        assert_eq!(plugin("/p.so"), file("/p.so", ""));
        assert_eq!(plugin("/p.so=a=b c"), file("/p.so", "a=b c"));
        assert!(plugin("p.so").unwrap().path.is_absolute());
        assert!(plugin("").is_err() && plugin("=x").is_err());
    }

    #[test]
    fn rates() {
        for (text, bytes) in [("1", 1), ("500K", 512_000), ("2M", 2 << 20), ("1G", 1 << 30)] {
            assert_eq!(rate(text), Ok(bytes));
        }
        for bad in ["", "K", "0", "0M", "-1", "1.5M", "2m", "2MB", "99999999999G"] {
            assert!(rate(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn times() {
        for (text, seconds) in [("0", 0), ("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200)] {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)));
        }
        for bad in ["", "s", "-1", "1.5s", "1d", "99999999h", "１0s"] {
            assert!(time(bad).is_err(), "{bad:?}");
        }
    }
}
