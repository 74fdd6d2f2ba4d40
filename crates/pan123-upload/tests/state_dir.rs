//! Where state goes by default. Each case is a process of its own, because the environment is its input.

use std::{env, process::Command};

#[test]
fn the_state_directory_follows_the_environment() {
    if env::var_os("PAN123_TEST_CHILD").is_some() {
        println!("state {}", pan123_upload::state_dir().unwrap().display());
        return;
    }
    for (state_home, expected) in [
        (Some("/some/state"), "/some/state/pan123"),
        // The XDG rules: a relative path is to be ignored.
        (Some("relative"), "/some/home/.local/state/pan123"),
        (None, "/some/home/.local/state/pan123"),
    ] {
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--exact", "the_state_directory_follows_the_environment", "--nocapture"]);
        child.env("PAN123_TEST_CHILD", "1").env("HOME", "/some/home").env_remove("XDG_STATE_HOME");
        if let Some(dir) = state_home {
            child.env("XDG_STATE_HOME", dir);
        }
        let output = String::from_utf8(child.output().unwrap().stdout).unwrap();
        let line = output.lines().find_map(|line| line.split("state ").nth(1)).unwrap();
        assert_eq!(line, expected, "{state_home:?}");
    }
}
