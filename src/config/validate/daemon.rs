//! Where the daemon of a region is.

use url::Url;

use super::super::Region;
use super::super::load::Element;
use super::super::place::Path;
use super::Check;

impl Check<'_> {
    /// The URL of a region's daemon, which none of the regions before it has.
    pub(super) fn daemon(
        &mut self,
        element: &Element,
        text: &str,
        regions: &[Region],
    ) -> Option<Url> {
        let path = Path::root("daemon");
        let url = daemon(text)
            .map_err(|why| self.add(element, &path, why))
            .ok()?;
        let same = |region: &&Region| region.daemon.as_ref() == Some(&url);
        if let Some(other) = regions.iter().find(same) {
            let message = format!(
                "the region `{}` has this daemon: each region has one of its own",
                other.name
            );
            self.add(element, &path, message);
        }
        Some(url)
    }
}

/// The URL, without a slash at the end of its path. What is wrong with it does not repeat it: it may
/// hold a password.
fn daemon(text: &str) -> Result<Url, &'static str> {
    const EXAMPLE: &str = "expected a URL like http://10.1.0.5:9887";
    let mut url = Url::parse(text).map_err(|_| EXAMPLE)?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(EXAMPLE);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "a daemon's URL must not hold a user or password: set `peers`, and `basic_auth` in the \
             job of Prometheus",
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(
            "a daemon's URL has no query and no fragment: leave out `?` or `#` and the rest",
        );
    }
    if url.port() == Some(0) {
        return Err("nothing listens on port 0");
    }
    let prefix = url.path().trim_end_matches('/').to_owned();
    if prefix.ends_with("/metrics") {
        return Err("leave out `/metrics`: it is added to the URL of the daemon");
    }
    // Prometheus would write any other character in another way than it is written here.
    if !prefix
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "/-._~".contains(c))
    {
        return Err("a path before `/metrics` has letters, digits and `/-._~` only");
    }
    url.set_path(&prefix);
    Ok(url)
}
