//! Development tasks: `cargo xtask TASK`. One module per task; `cargo xtask help` lists them.

mod aarch64;
mod bars;
mod bench;
mod bench_bindings;
mod bench_hash;
mod bench_upload;
mod beside;
mod bindings;
mod capi;
mod cpp;
mod debian;
mod fuzz;
mod header;
mod links;
mod measure;
mod miri;
mod picture;
mod process;
mod raw_writer;
mod serve;
mod simulate;
mod soak;
mod swift;
mod test;
mod tools;
mod workspace;

use clap::Parser;

/// Development tasks of pan123.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about)]
enum Task {
    /// Run every check of the project, after setting up what the checks need.
    Test(test::Options),
    /// Measure, and compare with others in the same run.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Run the tests of `pan123-hash` on AArch64, under qemu.
    Aarch64,
    /// Build the released C library and check it.
    Capi(capi::Options),
    /// Install the C library, its header, and what pkg-config and CMake need to find it.
    Install(capi::InstallOptions),
    /// Run every binding through the same scenarios, with its own language's tools.
    Bindings(bindings::Options),
    /// Check the C++ layer and the plugins with another compiler, and the programs in the guides.
    Cpp,
    /// Make include/pan123.h from the crate of the C interface, and its copy and docs/c-reference.md from that.
    Header(header::Options),
    /// Run the fuzz targets for a while each.
    Fuzz(fuzz::Options),
    /// Upload over slow lines between network namespaces, with the gateway's minute; takes root.
    Links(links::Options),
    /// Many small files and one large one with random faults, the client watched and every byte compared.
    Soak(soak::Options),
    /// Run tests of `pan123-hash` under Miri, which finds undefined behaviour.
    Miri,
    /// Record the program at work for the README.
    Picture,
    /// Run the upload state machine in virtual time: goodput over links, random schedules of faults, scale.
    Simulate(simulate::Options),
    /// Test the Swift package, with a compiler in a Debian of its own if this machine has none.
    Swift(swift::Options),
    /// Send a file's slices to an emulator as fast as sockets go (a part of `bench upload`).
    #[command(hide = true)]
    RawWriter(raw_writer::Options),
}

fn main() -> anyhow::Result<()> {
    process::end_children_with_us()?;
    match Task::parse() {
        Task::Test(options) => test::run(&options),
        Task::Bench(bench) => bench::run(&bench),
        Task::Aarch64 => aarch64::run(),
        Task::Capi(options) => capi::run(&options),
        Task::Install(options) => capi::install(&options),
        Task::Bindings(options) => bindings::run(&options),
        Task::Cpp => cpp::run(),
        Task::Header(options) => header::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Links(options) => links::run(&options),
        Task::Soak(options) => soak::run(&options),
        Task::Miri => miri::run(),
        Task::Picture => picture::run(),
        Task::Simulate(options) => simulate::run_task(&options),
        Task::Swift(options) => swift::run(&options),
        Task::RawWriter(options) => raw_writer::run(&options),
    }
}
