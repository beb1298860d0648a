//! The file system and the environment, as configuration files refer to them.

use std::io::ErrorKind;
use std::path::Path;

use onehop::config::{Included, Sources};

/// Reads files, and variables of the environment.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemSources;

impl Sources for SystemSources {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }

    /// A relative path is relative to the including file. What is not UTF-8 is replaced: in most files that is a comment.
    fn include(&self, from: &str, path: &str) -> Result<Included, String> {
        let directory = Path::new(from).parent().unwrap_or(Path::new(""));
        let full_path = directory.join(path);
        let bytes =
            std::fs::read(&full_path).map_err(|error| format!("open {}: {error}", full_path.display()))?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Included { name: full_path.display().to_string(), text })
    }

    fn file(&self, path: &str) -> Result<Vec<u8>, String> {
        std::fs::read(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => format!("open {path}: no such file or directory"),
            ErrorKind::PermissionDenied => format!("open {path}: permission denied"),
            _ => format!("open {path}: {error}"),
        })
    }

    #[cfg(feature = "tls")]
    fn system_authorities(&self) -> Vec<Vec<u8>> {
        // A few that cannot be read are no reason to trust nobody.
        rustls_native_certs::load_native_certs().certs.iter().map(|der| der.to_vec()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_included_relative_to_the_including_file() {
        let directory = std::env::temp_dir().join(format!("onehop-sources-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("inner.conf"), b"port: 5 # gr\xfc\xdfe").unwrap();
        let outer = directory.join("outer.conf").display().to_string();
        let included = SystemSources.include(&outer, "inner.conf");
        let missing = SystemSources.include(&outer, "missing.conf");
        std::fs::remove_dir_all(&directory).unwrap();
        assert_eq!(included.unwrap().text, "port: 5 # gr\u{fffd}\u{fffd}e");
        assert!(missing.unwrap_err().starts_with("open "));
    }
}
