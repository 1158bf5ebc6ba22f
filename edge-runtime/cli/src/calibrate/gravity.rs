//! Gravity from a file.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::range_flag::is_named;

/// Gravity for each frame, from lines `file,gx,gy,gz` or, in the frames' order, `gx,gy,gz`. A first line without numbers is a header.
pub(super) fn gravities(file: &Path, paths: &[PathBuf]) -> anyhow::Result<Vec<Option<[f64; 3]>>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    parse_gravities(&text, paths).with_context(|| file.display().to_string())
}

fn parse_gravities(text: &str, paths: &[PathBuf]) -> anyhow::Result<Vec<Option<[f64; 3]>>> {
    let mut gravities = vec![None; paths.len()];
    let mut next = 0;
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let name = (cells.len() == 4).then(|| cells[0]);
        let numbers: Option<Vec<f64>> =
            cells[usize::from(name.is_some())..].iter().map(|c| c.parse().ok().filter(|v: &f64| v.is_finite())).collect();
        let vector = match numbers.as_deref() {
            Some(&[x, y, z]) => [x, y, z],
            _ if number == 0 => continue,
            _ => bail!("line {} is neither file,gx,gy,gz nor gx,gy,gz: {line:?}", number + 1),
        };
        match name {
            Some(name) => {
                for (slot, _) in gravities.iter_mut().zip(paths).filter(|(_, path)| is_named(path, name)) {
                    *slot = Some(vector);
                }
            }
            None => {
                let Some(slot) = gravities.get_mut(next) else { bail!("more lines than the {} frames", paths.len()) };
                *slot = Some(vector);
                next += 1;
            }
        }
    }
    Ok(gravities)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gravity_comes_by_name_or_in_order_and_a_broken_line_is_named() {
        let paths = [PathBuf::from("x/a.png"), PathBuf::from("x/b.png")];
        let by_name = parse_gravities("file,gx,gy,gz\nb.png,0,9.8,1\n", &paths).unwrap();
        assert_eq!(by_name, [None, Some([0.0, 9.8, 1.0])]);
        let in_order = parse_gravities("0,1,0\n\n0,2,0\n", &paths).unwrap();
        assert_eq!(in_order, [Some([0.0, 1.0, 0.0]), Some([0.0, 2.0, 0.0])]);
        assert!(parse_gravities("0,1,0\n0,1\n", &paths).unwrap_err().to_string().contains("line 2"));
        assert!(parse_gravities("0,1,0\n0,1,0\n0,1,0\n", &paths).is_err());
    }
}
