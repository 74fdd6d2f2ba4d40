//! The commands, one file each.

pub(crate) mod complete;
pub(crate) mod completions;
pub(crate) mod create;
pub(crate) mod domain;
pub(crate) mod hash;
pub(crate) mod serve;
pub(crate) mod slice;
pub(crate) mod token;
pub(crate) mod upload;
pub(crate) mod uploads;

use pan123_upload::{Client, Error};

use crate::{
    account,
    args::{Account, Args, Command},
    console::Console,
    interrupt::Interrupt,
    settings::Settings,
};

/// The exit code of a command that did what it should.
const DONE: u8 = 0;

/// Runs a command and returns the exit code.
pub(crate) async fn run(args: Args, console: &Console, interrupt: &Interrupt) -> Result<u8, Error> {
    match args.command {
        Command::Upload(options) => upload::run(options, console, interrupt).await,
        Command::Uploads(options) => uploads::run(options, console, interrupt).await,
        Command::Hash(options) => hash::run(options, console, interrupt).await,
        Command::Create(options) => interrupt.unless(create::run(options, console)).await,
        Command::Slice(options) => interrupt.unless(slice::run(options, console)).await,
        Command::Complete(options) => interrupt.unless(complete::run(options, console)).await,
        Command::Domain(options) => interrupt.unless(domain::run(options, console)).await,
        Command::Token(options) => interrupt.unless(token::run(options, console)).await,
        Command::Serve(options) => serve::run(options, console, interrupt).await,
        Command::Completions(options) => Ok(completions::run(&options, console)),
    }
}

/// The client of a command that makes one call.
fn client(account: &Account, console: &Console) -> Result<Client, Error> {
    account::connect(&Settings::load(&account.flags, account.config.as_deref(), console)?)
}
