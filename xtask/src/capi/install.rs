//! `cargo xtask install`: libraries, header, pkg-config and CMake files where a system keeps them.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use super::dist::{self, Dist, SO_VERSION};
use crate::workspace::Workspace;

/// What `cargo xtask install` can be told.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Where the files will be when they are used; an absolute path
    #[arg(long, default_value = "/usr/local")]
    prefix: PathBuf,
    /// Folder of libraries, under the prefix
    #[arg(long, default_value = "lib")]
    libdir: PathBuf,
    /// Write below this folder instead of /, for packagers
    #[arg(long)]
    destdir: Option<PathBuf>,
}

/// Builds the libraries and installs them.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    if !options.prefix.is_absolute() || options.libdir.is_absolute() {
        bail!("--prefix must be an absolute path, and --libdir a path below it");
    }
    let workspace = Workspace::find()?;
    let dist = dist::build(&workspace)?;
    let size = install(&workspace, &dist, options)?;
    println!("installed libpan123 {} under {} ({} KiB)", dist.version, options.prefix.display(), size >> 10);
    Ok(())
}

/// Writes the files; returns the size of the shared library without debug information.
fn install(workspace: &Workspace, dist: &Dist, options: &Options) -> anyhow::Result<u64> {
    let root = match &options.destdir {
        Some(dir) => std::path::absolute(dir)?.join(options.prefix.strip_prefix("/")?),
        None => options.prefix.clone(),
    };
    let lib = root.join(&options.libdir);
    let include = root.join("include");
    let (config, cmake, doc) =
        (lib.join("pkgconfig"), lib.join("cmake/pan123"), root.join("share/doc/pan123"));
    for folder in [&include, &config, &cmake, &doc] {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    let shared = format!("libpan123.so.{}", dist.version);
    let size = dist::strip(workspace, &dist.shared(), &lib.join(&shared))?;
    for name in [format!("libpan123.so.{SO_VERSION}"), "libpan123.so".to_owned()] {
        let link = lib.join(name);
        let _ = fs::remove_file(&link);
        symlink(&shared, &link).with_context(|| format!("link {}", link.display()))?;
    }
    copy(&dist.archive(), &lib.join("libpan123.a"))?;
    for header in fs::read_dir(workspace.root.join("include"))? {
        let header = header?;
        copy(&header.path(), &include.join(header.file_name()))?;
    }
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        copy(&workspace.root.join(licence), &doc.join(licence))?;
    }
    fs::write(config.join("pan123.pc"), pkg_config(dist, options))?;
    fs::write(cmake.join("pan123-config.cmake"), cmake_config(dist))?;
    fs::write(cmake.join("pan123-config-version.cmake"), cmake_version(dist))?;
    Ok(size)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::copy(from, to).with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

fn pkg_config(dist: &Dist, options: &Options) -> String {
    format!(
        "prefix={}\nlibdir=${{prefix}}/{}\nincludedir=${{prefix}}/include\n\n\
         Name: pan123\nDescription: Uploads to 123 Cloud Drive\nVersion: {}\n\
         Cflags: -I${{includedir}}\nLibs: -L${{libdir}} -lpan123\nLibs.private: {}\n",
        options.prefix.display(),
        options.libdir.display(),
        dist.version,
        dist.native_libs
    )
}

fn cmake_config(dist: &Dist) -> String {
    let libs: Vec<&str> =
        dist.native_libs.split_whitespace().map(|lib| lib.trim_start_matches("-l")).collect();
    format!(
        r#"# Targets pan123::pan123 (shared) and pan123::pan123_static.
get_filename_component(_pan123_lib "${{CMAKE_CURRENT_LIST_DIR}}/../.." ABSOLUTE)
get_filename_component(_pan123_prefix "${{_pan123_lib}}/.." ABSOLUTE)
if(NOT TARGET pan123::pan123)
  add_library(pan123::pan123 SHARED IMPORTED)
  set_target_properties(pan123::pan123 PROPERTIES
    IMPORTED_LOCATION "${{_pan123_lib}}/libpan123.so.{version}"
    IMPORTED_SONAME "libpan123.so.{SO_VERSION}"
    INTERFACE_INCLUDE_DIRECTORIES "${{_pan123_prefix}}/include")
  add_library(pan123::pan123_static STATIC IMPORTED)
  set_target_properties(pan123::pan123_static PROPERTIES
    IMPORTED_LOCATION "${{_pan123_lib}}/libpan123.a"
    INTERFACE_INCLUDE_DIRECTORIES "${{_pan123_prefix}}/include"
    INTERFACE_LINK_LIBRARIES "{libs}")
endif()
"#,
        version = dist.version,
        libs = libs.join(";")
    )
}

fn cmake_version(dist: &Dist) -> String {
    format!(
        r#"set(PACKAGE_VERSION "{}")
if(PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION OR NOT PACKAGE_FIND_VERSION VERSION_LESS_EQUAL PACKAGE_VERSION)
  set(PACKAGE_VERSION_COMPATIBLE FALSE)
elseif(PACKAGE_FIND_VERSION AND NOT "${{PACKAGE_FIND_VERSION_MAJOR}}.${{PACKAGE_FIND_VERSION_MINOR}}" VERSION_EQUAL "{SO_VERSION}")
  set(PACKAGE_VERSION_COMPATIBLE FALSE)
else()
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
  if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
    set(PACKAGE_VERSION_EXACT TRUE)
  endif()
endif()
"#,
        dist.version
    )
}

/// Installs into a folder of its own, for the checks.
pub(super) fn into(workspace: &Workspace, dist: &Dist, destdir: &Path) -> anyhow::Result<u64> {
    let options = Options { prefix: "/usr".into(), libdir: "lib".into(), destdir: Some(destdir.to_owned()) };
    install(workspace, dist, &options)
}

/// Builds the libraries by a profile of cargo's, and installs them under `prefix`.
pub(crate) fn install_into(workspace: &Workspace, profile: &str, prefix: &Path) -> anyhow::Result<()> {
    let dist = dist::build_profile(workspace, profile)?;
    let options = Options { prefix: prefix.to_owned(), libdir: "lib".into(), destdir: None };
    install(workspace, &dist, &options).map(drop)
}
