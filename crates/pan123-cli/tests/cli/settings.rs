//! Flags, environment and configuration file.

use crate::support::{Bench, Run, TOKEN};

/// `domain` with nothing but these variables.
fn domain(bench: &Bench, args: &[&str], variables: &[(&str, &str)]) -> Run {
    let mut command = bench.command(["domain"]);
    command.env_remove("PAN123_BASE_URL").env_remove("PAN123_ACCESS_TOKEN");
    Run::of(command.args(args).envs(variables.iter().copied()))
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let bench = Bench::new();
    let url = bench.emulator.base_url();
    let nowhere = "http://127.0.0.1:1";
    bench.file("good.toml", format!("base_url = '{url}'\naccess_token = '{TOKEN}'\n"));
    bench.file("bad.toml", format!("base_url = '{nowhere}'\naccess_token = '{TOKEN}'\n"));

    domain(&bench, &["--config", "good.toml"], &[]).exits(0);
    domain(&bench, &["--config", "bad.toml"], &[]).exits(5);
    domain(&bench, &["--config", "bad.toml"], &[("PAN123_BASE_URL", url)]).exits(0);
    domain(&bench, &["--config", "good.toml"], &[("PAN123_BASE_URL", nowhere)]).exits(5);
    domain(&bench, &["--config", "good.toml", "--base-url", url], &[("PAN123_BASE_URL", nowhere)]).exits(0);
    domain(&bench, &[], &[("PAN123_CONFIG", "good.toml")]).exits(0);
    domain(&bench, &["--config", "bad.toml"], &[("PAN123_CONFIG", "good.toml")]).exits(5);
    domain(&bench, &["--config", "good.toml", "--access-token", "wrong"], &[]).exits(3);
}

#[cfg(unix)]
#[test]
fn the_usual_file_is_read_if_it_is_there() {
    let bench = Bench::new();
    domain(&bench, &[], &[]).exits(3);
    let text =
        format!("base_url = '{}'\naccess_token = '{TOKEN}'\nparallel = 8\n", bench.emulator.base_url());
    bench.file("home/.config/pan123/config.toml", &text);
    domain(&bench, &[], &[]).exits(0);
    bench.file("elsewhere/pan123/config.toml", "vip = 1");
    let elsewhere = bench.path("elsewhere");
    domain(&bench, &[], &[("XDG_CONFIG_HOME", elsewhere.to_str().unwrap())])
        .exits(2)
        .says("expected a boolean");
}

#[cfg(unix)]
#[test]
fn a_file_with_secrets_that_others_can_read_is_warned_of() {
    use std::{fs, os::unix::fs::PermissionsExt as _};
    let bench = Bench::new();
    let url = bench.emulator.base_url();
    let warned = |text: &str, mode: u32| {
        let path = bench.file("c.toml", text);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let run = domain(&bench, &["--config", "c.toml"], &[("PAN123_ACCESS_TOKEN", TOKEN)]).exits(0);
        assert!(!run.err.contains("hunter2"), "{}", run.err);
        run.err.contains("warning: others can read the secrets in c.toml: chmod 600 c.toml\n")
    };
    let secret = |name: &str| format!("base_url = '{url}'\n{name} = 'hunter2'\n");
    for name in ["access_token", "client_secret", "refresh_token"] {
        assert!(warned(&secret(name), 0o644) && warned(&secret(name), 0o640), "{name}");
        assert!(!warned(&secret(name), 0o600), "{name}");
    }
    assert!(!warned(&format!("base_url = '{url}'\n"), 0o644), "there is nothing to hide");
}

#[test]
fn a_mistake_in_the_file_is_named_without_its_secrets() {
    let bench = Bench::new();
    let config = |text: &str| {
        bench.file("c.toml", text);
        domain(&bench, &["--config", "c.toml"], &[])
    };
    config("acces_token = 'hunter2'").exits(2).says("c.toml: line 1: unknown field `acces_token`");
    let run = config("\naccess_token = 'hunter2").exits(2).says("c.toml: line 2");
    assert!(!run.err.contains("hunter2"), "{}", run.err);
    let run = config("vip = 'hunter2'").exits(2);
    assert!(!run.err.contains("hunter2"), "{}", run.err);
}

#[test]
fn a_token_is_fetched_once_and_shared_with_later_runs() {
    let bench = Bench::new();
    let login = [
        ("PAN123_BASE_URL", bench.emulator.base_url()),
        ("PAN123_CLIENT_ID", "emulator-id"),
        ("PAN123_CLIENT_SECRET", "emulator-secret"),
    ];
    for _ in 0..3 {
        domain(&bench, &[], &login).exits(0);
    }
    assert_eq!((bench.requests("access_token"), bench.requests("domain")), (1, 3));
    bench.emulator.expire_tokens().unwrap();
    domain(&bench, &[], &login).exits(0);
    assert_eq!(bench.requests("access_token"), 2, "a token that is refused is renewed once");
}

#[test]
fn the_log_says_what_happens_and_never_the_token() {
    let bench = Bench::new();
    bench.file("f", "x");
    let quiet = bench.run(["upload", "f", "--json"]).exits(0);
    assert_eq!(quiet.err, "");
    let loud = bench.run(["-vvv", "upload", "f", "--json", "--on-conflict", "keep-both"]).exits(0);
    assert!(loud.err.contains("DEBUG") && loud.err.contains("127.0.0.1"), "{}", loud.err);
    let mut command = bench.command(["upload", "f", "--json", "--on-conflict", "keep-both"]);
    let chosen = Run::of(command.env("PAN123_LOG", "pan123_transport=debug")).exits(0);
    assert!(
        chosen.err.contains("pan123_transport") && !chosen.err.contains("pan123_upload"),
        "{}",
        chosen.err
    );
}
