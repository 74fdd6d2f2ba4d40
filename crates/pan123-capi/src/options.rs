//! Options: numbers with values, checked as they are set.

use std::{
    collections::BTreeMap,
    ffi::c_char,
    fmt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use libc::size_t;
use pan123_upload::proto::machine::Duplicate;

use crate::{
    error::pan123_error,
    guard::{Fault, fault, guard, invalid, quiet},
    handle::{self, Object},
    numbers::*,
    plugin::Plugin,
    text,
};

/// A set of options (`PAN123_OPT_`) for a client or for an upload, made empty. Whoever is given it takes what is in it at
/// that moment.
#[allow(missing_debug_implementations, reason = "a name for C, without content")]
pub struct pan123_options {
    _private: [u8; 0],
}

impl Object for pan123_options {
    type Inside = Mutex<Settings>;
    const NAME: &'static str = "pan123_options";
}

/// What was set.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    texts: BTreeMap<u32, String>,
    numbers: BTreeMap<u32, u64>,
    pub(crate) plugins: Vec<Arc<Plugin>>,
}

impl fmt::Debug for Settings {
    /// Leaves out values, because some of them are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.texts.keys().chain(self.numbers.keys())).finish()
    }
}

/// What an option is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Client,
    /// Name and place of a file: uploads, `create`, single uploads.
    Target,
    /// What names the source of an upload.
    Upload,
}

/// Every option with a text.
const TEXTS: &[(u32, Scope)] = &[
    (PAN123_OPT_BASE_URL, Scope::Client),
    (PAN123_OPT_USER_AGENT, Scope::Client),
    (PAN123_OPT_ACCESS_TOKEN, Scope::Client),
    (PAN123_OPT_CLIENT_ID, Scope::Client),
    (PAN123_OPT_CLIENT_SECRET, Scope::Client),
    (PAN123_OPT_TOKEN_CACHE, Scope::Client),
    (PAN123_OPT_STATE_DIR, Scope::Client),
    (PAN123_OPT_PROXY, Scope::Client),
    (PAN123_OPT_CA_FILE, Scope::Client),
    (PAN123_OPT_RESUME_KEY, Scope::Upload),
    (PAN123_OPT_REFRESH_TOKEN, Scope::Client),
];

/// Every option with a number, its least and its largest value.
const NUMBERS: &[(u32, Scope, u64, u64)] = &[
    (PAN123_OPT_SLICES_IN_FLIGHT, Scope::Client, 0, 64),
    (PAN123_OPT_BYTES_PER_SEC, Scope::Client, 0, u64::MAX),
    (PAN123_OPT_VIP_RATES, Scope::Client, 0, 1),
    (PAN123_OPT_SOURCE_TIMEOUT_MS, Scope::Client, 1, DAY_MS),
    (PAN123_OPT_DUPLICATE, Scope::Target, 0, 2),
    (PAN123_OPT_CONTAIN_DIR, Scope::Target, 0, 1),
    (PAN123_OPT_PROGRESS_MS, Scope::Client, 10, DAY_MS),
    (PAN123_OPT_RETRY_FOR_MS, Scope::Client, 0, DAY_MS),
    (PAN123_OPT_PLAIN_HTTP, Scope::Client, 0, 1),
];

const DAY_MS: u64 = 24 * 3600 * 1000;

/// The option's name for messages: what the constant is called behind its prefix, as in other languages.
pub(crate) fn name(option: u32) -> String {
    let known = CONSTANTS
        .iter()
        .find(|(name, value)| *value == i64::from(option) && name.to_bytes().starts_with(b"PAN123_OPT_"));
    known.map_or_else(
        || format!("option {option}"),
        |(name, _)| {
            let name = name.to_string_lossy();
            name.trim_start_matches("PAN123_OPT_").to_ascii_lowercase()
        },
    )
}

impl Settings {
    /// What is in an options object, if there is one, and nothing that is for somebody else.
    ///
    /// # Safety
    ///
    /// `options` is NULL or a live options object.
    pub(crate) unsafe fn of(
        options: *const pan123_options,
        scopes: &[Scope],
        function: &str,
    ) -> Result<Self, Fault> {
        // SAFETY: by the contract.
        let settings = unsafe { handle::look_if_any(options) }?;
        let settings = settings.map_or_else(Self::default, |settings| lock(&settings).clone());
        let texts = TEXTS.iter().map(|(option, scope)| (*option, *scope));
        let numbers = NUMBERS.iter().map(|(option, scope, ..)| (*option, *scope));
        for (option, scope) in texts.chain(numbers) {
            let is_set = settings.texts.contains_key(&option) || settings.numbers.contains_key(&option);
            if is_set && !scopes.contains(&scope) {
                return Err(invalid(format!("{} is nothing for {}", name(option), text::plain(function))));
            }
        }
        if !settings.plugins.is_empty() && !scopes.contains(&Scope::Client) {
            return Err(invalid(format!(
                "plugins are for a client, and nothing for {}",
                text::plain(function)
            )));
        }
        Ok(settings)
    }

    pub(crate) fn text(&self, option: u32) -> Option<&str> {
        self.texts.get(&option).map(String::as_str)
    }

    pub(crate) fn number(&self, option: u32) -> Option<u64> {
        self.numbers.get(&option).copied()
    }

    pub(crate) fn flag(&self, option: u32) -> bool {
        self.number(option) == Some(1)
    }

    pub(crate) fn duplicate(&self) -> Option<Duplicate> {
        match self.number(PAN123_OPT_DUPLICATE) {
            Some(1) => Some(Duplicate::KeepBoth),
            Some(2) => Some(Duplicate::Overwrite),
            _ => None,
        }
    }
}

fn lock(settings: &Mutex<Settings>) -> MutexGuard<'_, Settings> {
    settings.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a text cannot be what the option is.
fn wrong_with(option: u32, value: &str) -> Option<&'static str> {
    if value.contains('\0') {
        return Some("has a NUL inside");
    }
    match option {
        PAN123_OPT_BASE_URL
        | PAN123_OPT_STATE_DIR
        | PAN123_OPT_TOKEN_CACHE
        | PAN123_OPT_PROXY
        | PAN123_OPT_CA_FILE
        | PAN123_OPT_RESUME_KEY
            if value.is_empty() =>
        {
            Some("is empty; leave it out instead")
        }
        PAN123_OPT_USER_AGENT if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) => {
            Some("is not visible ASCII, as a header has to be")
        }
        _ => None,
    }
}

fn unknown(option: u32) -> Fault {
    fault(PAN123_E_UNKNOWN_NUMBER, format!("option {option} is not known to this version of the library"))
}

/// Makes an empty set of options.
///
/// Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT` if `out` is NULL.
///
/// Ownership: `*out` is yours; free it with `pan123_options_free`. Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `out` and `err` are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_options_new(
    out: *mut *mut pan123_options,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        let out = unsafe { handle::object_place(out) }?;
        *out = handle::give(Mutex::default());
        Ok(())
    })
}

/// Sets `option`, which is one that takes a text, to `s`, which is copied. Setting it again replaces it.
///
/// Returns `PAN123_OK`; `PAN123_E_UNKNOWN_NUMBER` for an option that this version does not know;
/// `PAN123_E_INVALID_ARGUMENT` for text that is not UTF-8 or has a NUL inside, for an empty path, address or key, for a
/// user agent that is not visible ASCII, and for an option that takes a number.
///
/// Thread: any. Blocking: no. Since 0.1.
///
/// ```c
/// pan123_options_set_str(o, PAN123_OPT_ACCESS_TOKEN, getenv("PAN123_ACCESS_TOKEN"), PAN123_NUL, NULL);
/// ```
///
/// # Safety
///
/// `o` is NULL or a live options object; `s` is NULL or readable for `len` bytes, or up to its NUL if `len` is
/// `PAN123_NUL`; `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_options_set_str(
    o: *mut pan123_options,
    option: u32,
    s: *const c_char,
    len: size_t,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        let settings = unsafe { handle::look(o.cast_const()) }?;
        if NUMBERS.iter().any(|(known, ..)| *known == option) {
            return Err(invalid(format!("{} takes a number: use pan123_options_set_u64", name(option))));
        }
        if !TEXTS.iter().any(|(known, _)| *known == option) {
            return Err(unknown(option));
        }
        // SAFETY: by the contract of this function.
        let value = unsafe { text::text(s, len, &name(option)) }?;
        if let Some(wrong) = wrong_with(option, value) {
            return Err(invalid(format!("{} {wrong}", name(option))));
        }
        lock(&settings).texts.insert(option, value.to_owned());
        Ok(())
    })
}

/// Sets `option`, which is one that takes a number, to `v`. Setting it again replaces it.
///
/// Returns `PAN123_OK`; `PAN123_E_UNKNOWN_NUMBER` for an option that this version does not know;
/// `PAN123_E_INVALID_ARGUMENT` for a number out of the option's range, and for an option that takes a text.
///
/// Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `o` is NULL or a live options object; `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_options_set_u64(
    o: *mut pan123_options,
    option: u32,
    v: u64,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        let settings = unsafe { handle::look(o.cast_const()) }?;
        if TEXTS.iter().any(|(known, _)| *known == option) {
            return Err(invalid(format!("{} takes a text: use pan123_options_set_str", name(option))));
        }
        let known = NUMBERS.iter().find(|(known, ..)| *known == option);
        let (_, _, least, most) = known.ok_or_else(|| unknown(option))?;
        if !(least..=most).contains(&&v) {
            return Err(invalid(format!("{} is {v}; it must be {least} to {most}", name(option))));
        }
        lock(&settings).numbers.insert(option, v);
        Ok(())
    })
}

/// Loads a plugin, and adds what it brings to the options of a client. See `pan123_plugin`.
///
/// `path` is absolute: a plugin is code in your process, and is never searched for. `config` is handed to it as it is,
/// and may be NULL. The transport of the plugin that was added first is outermost; all are outside the transport given
/// to `pan123_client_new`. Tokens and store given to `pan123_client_new` win over a plugin's, and of several plugins the
/// one added first. A plugin is never unloaded.
///
/// Returns `PAN123_OK`; `PAN123_E_PLUGIN` if the file cannot be loaded, is no plugin, or its `open` failed;
/// `PAN123_E_ABI` if it was made for another version of the interface; `PAN123_E_INVALID_ARGUMENT`.
///
/// Thread: any. Blocking: as long as the plugin takes to open. Since 0.1.
///
/// # Safety
///
/// `o` is NULL or a live options object; `path` and `config` are NULL or readable for as many bytes as is said, or up to
/// their NUL for `PAN123_NUL`; `err` is NULL or writable. The plugin keeps to this interface.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_options_add_plugin(
    o: *mut pan123_options,
    path: *const c_char,
    len: size_t,
    config: *const c_char,
    config_len: size_t,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        let settings = unsafe { handle::look(o.cast_const()) }?;
        // SAFETY: by the contract of this function.
        let (path, config) =
            unsafe { (text::text(path, len, "path")?, text::text_if_any(config, config_len, "config")?) };
        let plugin = Plugin::open(Path::new(path), config.unwrap_or_default())?;
        lock(&settings).plugins.push(Arc::new(plugin));
        Ok(())
    })
}

/// Frees a set of options. NULL is fine.
///
/// Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `o` is NULL or a live options object, which is gone afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_options_free(o: *mut pan123_options) {
    // SAFETY: by the contract of this function.
    quiet((), || unsafe { handle::free(o) });
}
