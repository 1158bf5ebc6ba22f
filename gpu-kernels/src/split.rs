//! Long work in parts: small boards lose a device that one dispatch holds for about a second.

use crate::kernel::Launch;

impl Launch {
    /// Splits into launches of at most `limit` work each, so that no single dispatch holds the device for long. A workgroup is
    /// never split.
    ///
    /// Kernels take the first workgroup of a part from fields of theirs: `origin_x`, `origin_y` and `origin_z` where workgroups are
    /// tiles, `first_group` where they are a line that [`linear`] laid out. An axis without a field has one workgroup.
    #[must_use]
    pub fn split(self, limit: u64) -> Vec<Self> {
        let groups = self.workgroups.map(u64::from);
        let all = groups.iter().product::<u64>();
        if self.work <= limit || all <= 1 {
            return vec![self];
        }
        // At least one, and the rounding keeps each part below the limit.
        let each = (u128::from(limit) * u128::from(all) / u128::from(self.work)).max(1) as u64;
        match self.place_of("first_group") {
            Some(field) => self.split_line(field, all, each),
            None => self.split_tiles(groups, each),
        }
    }

    /// Parts of `each` of `all` workgroups in line.
    fn split_line(&self, field: usize, all: u64, each: u64) -> Vec<Self> {
        // Whole planes: the last workgroups of a plane that is not full would be those of the next part.
        let each = if each > LINE { each / LINE * LINE } else { each };
        let part = |i: u64| {
            let first = i * each;
            let mut launch = self.with_origin(&[(field, first)]);
            let count = each.min(all - first);
            launch.workgroups = plane(count);
            launch.work = self.work * count / all;
            launch
        };
        (0..all.div_ceil(each)).map(part).collect()
    }

    /// Boxes of at most `each` workgroups.
    fn split_tiles(&self, groups: [u64; 3], each: u64) -> Vec<Self> {
        let fields = ["origin_x", "origin_y", "origin_z"].map(|name| self.place_of(name));
        let mut extent = groups;
        // Rows first, then planes, which are blocks of channels, then columns.
        for axis in [1, 2, 0] {
            let others = extent.iter().product::<u64>() / extent[axis].max(1);
            if fields[axis].is_some() && extent[axis] > 1 {
                let most = (each / others.max(1)).clamp(1, extent[axis]);
                extent[axis] = groups[axis].div_ceil(groups[axis].div_ceil(most));
            }
        }
        let origins = |axis: usize| (0..groups[axis]).step_by(extent[axis].max(1) as usize);
        let all = groups.iter().product::<u64>();
        let mut parts = Vec::new();
        for [x, y, z] in origins(2).flat_map(|z| origins(1).flat_map(move |y| origins(0).map(move |x| [x, y, z]))) {
            let placed = fields.into_iter().zip([x, y, z]).filter_map(|(field, first)| Some((field?, first)));
            let mut launch = self.with_origin(&placed.collect::<Vec<_>>());
            let count = std::array::from_fn(|axis| extent[axis].min(groups[axis] - [x, y, z][axis]));
            launch.workgroups = count.map(|n| n as u32);
            launch.work = self.work * count.iter().product::<u64>() / all;
            parts.push(launch);
        }
        parts
    }

    /// Offset of a field of the parameters.
    fn place_of(&self, name: &str) -> Option<usize> {
        self.kernel.params.fields.iter().find(|field| field.name == name).map(|field| field.offset)
    }

    /// The same launch with numbers of workgroups at these offsets of its parameters.
    fn with_origin(&self, origins: &[(usize, u64)]) -> Self {
        let mut launch = self.clone();
        for &(field, first) in origins {
            launch.params[field..field + 4].copy_from_slice(&(first as u32).to_ne_bytes());
        }
        launch
    }
}

/// Workgroups of `size` invocations for `count` items, as a plane that no device finds too wide. Kernels number the items
/// `(first_group + group.y * groups.x + group.x) * size + local.x`.
#[must_use]
pub const fn linear(count: usize, size: u32) -> [u32; 3] {
    plane((count as u64).div_ceil(size as u64))
}

/// So many workgroups, and some more where they are not a rectangle.
const fn plane(groups: u64) -> [u32; 3] {
    let wide = if groups < LINE { groups } else { LINE };
    if wide == 0 { [0, 1, 1] } else { [wide as u32, groups.div_ceil(wide) as u32, 1] }
}

/// Most workgroups along an axis of [`linear`]; devices allow at least 65,535.
const LINE: u64 = 32_768;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Kernel, Tolerance};
    use crate::layout_of;

    #[repr(C)]
    #[derive(Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
    struct Tiles {
        origin_x: u32,
        width: u32,
        origin_z: u32,
        origin_y: u32,
    }

    const TILES: Kernel = Kernel {
        name: "test/tiles",
        wgsl: "",
        params: layout_of!(Tiles { origin_x, width, origin_z, origin_y }),
        bindings: &[],
        needs: &[],
        tolerance: Tolerance::EXACT,
    };

    #[repr(C)]
    #[derive(Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
    struct Line {
        count: u32,
        first_group: u32,
    }

    const IN_LINE: Kernel = Kernel { name: "test/line", params: layout_of!(Line { count, first_group }), ..TILES };

    #[test]
    fn tiles_are_covered_once_and_no_part_exceeds_the_bound_unless_it_is_one_workgroup() {
        for workgroups in [[1, 1, 1], [2, 7, 1], [3, 1, 5], [1, 1, 9], [11, 1, 1], [4, 3, 2], [5, 7, 3]] {
            let all: u32 = workgroups.iter().product();
            for limit in [1, 9, 10, 11, 25, 70, 99, 100, 333, 10_000] {
                let launch = Launch::new(&TILES, &Tiles::default(), workgroups, vec![], 10 * u64::from(all));
                let mut seen = vec![0; all as usize];
                for part in launch.split(limit) {
                    let count: u32 = part.workgroups.iter().product();
                    assert!(part.work <= limit || count == 1, "{workgroups:?} in parts of {limit}: {} in {count}", part.work);
                    assert_eq!(part.work, 10 * u64::from(count));
                    let Tiles { origin_x, origin_y, origin_z, .. } = bytemuck::pod_read_unaligned(&part.params);
                    for i in 0..count {
                        let [x, y, z] = [
                            origin_x + i % part.workgroups[0],
                            origin_y + i / part.workgroups[0] % part.workgroups[1],
                            origin_z + i / part.workgroups[0] / part.workgroups[1],
                        ];
                        seen[(x + workgroups[0] * (y + workgroups[1] * z)) as usize] += 1;
                    }
                }
                assert!(seen.iter().all(|&times| times == 1), "{workgroups:?} in parts of {limit}: {seen:?}");
            }
        }
    }

    #[test]
    fn rows_of_a_map_stay_together_where_they_fit() {
        let launch = Launch::new(&TILES, &Tiles::default(), [2, 7, 1], vec![], 700);
        let parts: Vec<[u32; 3]> = launch.split(300).iter().map(|part| part.workgroups).collect();
        assert_eq!(parts, [[2, 3, 1], [2, 3, 1], [2, 1, 1]]);
    }

    #[test]
    fn a_line_is_covered_once_and_in_order() {
        for groups in [1, 2, 77, LINE, LINE + 1, 3 * LINE + 5] {
            let workgroups = linear(64 * groups as usize, 64);
            let all = u64::from(workgroups[0]) * u64::from(workgroups[1]);
            for limit in [1, 130, 64 * (LINE - 1), 64 * (LINE + 9), 64 * 2 * LINE, u64::MAX] {
                if groups > 100 && limit < 1000 {
                    continue;
                }
                let parts = Launch::new(&IN_LINE, &Line::default(), workgroups, vec![], 64 * all).split(limit);
                let mut next = 0;
                for part in &parts {
                    let Line { first_group, .. } = bytemuck::pod_read_unaligned(&part.params);
                    let count = u64::from(part.workgroups[0]) * u64::from(part.workgroups[1]);
                    assert_eq!(u64::from(first_group), next, "{groups} in parts of {limit}");
                    assert!(part.work <= limit || count == 1, "{groups} in parts of {limit}: {}", part.work);
                    next += count;
                }
                assert!((groups..groups + LINE).contains(&next), "{groups} in parts of {limit}: {next}");
                assert_eq!(parts.iter().map(|part| part.work).sum::<u64>(), 64 * all);
            }
        }
    }
}
