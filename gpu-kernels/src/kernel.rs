//! What a kernel is, and what one launch of it needs: plain data, checked without a device.

/// A kernel: a complete WGSL file, and what its launch half promises about it. Its entry points differ in how they load.
#[derive(Debug, Clone, Copy)]
pub struct Kernel {
    /// Folder and stem of its file, as in `nn/conv_dot4`.
    pub name: &'static str,
    /// The file.
    pub wgsl: &'static str,
    /// Mirror of its `struct Params`, which is binding 0 of group 0.
    pub params: Layout,
    /// Storage bindings 1, 2, .. of group 0.
    pub bindings: &'static [Access],
    /// Optional features it needs.
    pub needs: &'static [Need],
    /// How far its result may be from its twin's.
    pub tolerance: Tolerance,
}

/// How a kernel uses a storage binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Weights and tables: `storage, read`.
    Read,
    /// The arena: `storage, read_write`, even where the kernel only reads, because one buffer cannot be both in one dispatch.
    ReadWrite,
}

/// An optional feature of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Half-precision arithmetic.
    F16,
    /// Subgroup operations.
    Subgroups,
    /// Cooperative matrices.
    CooperativeMatrix,
}

/// Largest difference allowed to the twin: `abs + rel |expected|`. Both 0: bit for bit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Absolute part.
    pub abs: f32,
    /// Share of the expected value.
    pub rel: f32,
}

impl Tolerance {
    /// Integer kernels.
    pub const EXACT: Self = Self { abs: 0.0, rel: 0.0 };
}

/// The fields of a parameter struct, in memory order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Fields.
    pub fields: &'static [Field],
    /// Size of the struct.
    pub bytes: usize,
}

/// One field of a parameter struct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Name, the same in WGSL and Rust.
    pub name: &'static str,
    /// Bytes from the start of the struct.
    pub offset: usize,
    /// Bytes of the field.
    pub bytes: usize,
}

/// Size of what a getter returns; for [`layout_of!`](crate::layout_of).
#[must_use]
pub const fn bytes_behind<S, T>(_: fn(&S) -> &T) -> usize {
    size_of::<T>()
}

/// The [`Layout`] of a parameter struct. Naming all its fields is enforced: a forgotten one does not compile.
#[macro_export]
macro_rules! layout_of {
    ($params:ident { $($field:ident),+ $(,)? }) => {{
        const fn every_field_is_named(params: &$params) {
            let $params { $($field: _),+ } = params;
        }
        let _: fn(&$params) = every_field_is_named;
        $crate::kernel::Layout {
            fields: &[$($crate::kernel::Field {
                name: stringify!($field),
                offset: ::std::mem::offset_of!($params, $field),
                bytes: $crate::kernel::bytes_behind(|params: &$params| &params.$field),
            }),+],
            bytes: size_of::<$params>(),
        }
    }};
}

/// One run of a kernel, except for the buffers: everything that follows from the operation's geometry.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// Entry point.
    pub entry: &'static str,
    /// Values of its `override` constants.
    pub constants: Vec<(&'static str, f64)>,
    /// Its parameters, as in memory.
    pub params: Vec<u8>,
    /// Workgroups along x, y, z.
    pub workgroups: [u32; 3],
    /// Least bytes of each storage binding.
    pub bytes: Vec<u64>,
    /// Multiply-accumulates or, where there are none, elements touched: what splitting bounds.
    pub work: u64,
}

impl Launch {
    /// A launch with `params` as its parameters.
    #[must_use]
    pub fn new<P: bytemuck::Pod>(kernel: &'static Kernel, params: &P, workgroups: [u32; 3], bytes: Vec<u64>, work: u64) -> Self {
        debug_assert_eq!(size_of::<P>(), kernel.params.bytes);
        debug_assert_eq!(bytes.len(), kernel.bindings.len());
        Self { kernel, entry: "main", constants: Vec::new(), params: bytemuck::bytes_of(params).to_vec(), workgroups, bytes, work }
    }

    /// At another entry point than `main`.
    #[must_use]
    pub const fn entry(mut self, entry: &'static str) -> Self {
        self.entry = entry;
        self
    }

    /// With a value for an `override` constant.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<f64>) -> Self {
        self.constants.push((name, value.into()));
        self
    }

    /// Splits into launches of at most `limit` work each, so that no single dispatch holds the device for long.
    ///
    /// Splits along the workgroups' y axis, whose origin kernels take from their field `origin_y`. A kernel without that
    /// field, and a single row of workgroups, stay whole.
    #[must_use]
    pub fn split(self, limit: u64) -> Vec<Self> {
        let rows = self.workgroups[1];
        let Some(field) = self.kernel.params.fields.iter().find(|field| field.name == "origin_y") else { return vec![self] };
        let parts = self.work.div_ceil(limit.max(1)).clamp(1, u64::from(rows.max(1)));
        let rows_each = u64::from(rows).div_ceil(parts) as u32;
        if parts == 1 || rows_each == 0 {
            return vec![self];
        }
        (0..rows.div_ceil(rows_each))
            .map(|part| {
                let origin = part * rows_each;
                let mut launch = self.clone();
                launch.params[field.offset..field.offset + 4].copy_from_slice(&origin.to_ne_bytes());
                launch.workgroups[1] = rows_each.min(rows - origin);
                launch.work = self.work * u64::from(launch.workgroups[1]) / u64::from(rows);
                launch
            })
            .collect()
    }
}

/// Workgroups of `size` invocations for `count` items, as a plane that no device finds too wide. Kernels number the items
/// `(group.y * groups.x + group.x) * size + local.x`.
#[must_use]
pub const fn linear(count: usize, size: u32) -> [u32; 3] {
    let groups = (count as u64).div_ceil(size as u64);
    let wide = if groups < 32_768 { groups } else { 32_768 };
    if wide == 0 { [0, 1, 1] } else { [wide as u32, groups.div_ceil(wide) as u32, 1] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
    struct Params {
        width: u32,
        origin_y: u32,
        scale: [f32; 2],
    }

    const KERNEL: Kernel = Kernel {
        name: "test/rows",
        wgsl: "",
        params: layout_of!(Params { width, origin_y, scale }),
        bindings: &[],
        needs: &[],
        tolerance: Tolerance::EXACT,
    };

    #[test]
    fn a_layout_lists_every_field_with_its_place() {
        let expected = [("width", 0, 4), ("origin_y", 4, 4), ("scale", 8, 8)];
        assert_eq!(KERNEL.params.fields.iter().map(|f| (f.name, f.offset, f.bytes)).collect::<Vec<_>>(), expected);
        assert_eq!(KERNEL.params.bytes, 16);
    }

    #[test]
    fn a_split_covers_every_row_once_and_stays_below_the_bound() {
        let launch = Launch::new(&KERNEL, &Params { width: 3, origin_y: 0, scale: [1.0; 2] }, [2, 7, 1], vec![], 700);
        let parts = launch.split(250);
        let rows: Vec<(u32, u32)> = parts.iter().map(|p| (bytemuck::pod_read_unaligned(&p.params[4..8]), p.workgroups[1])).collect();
        assert_eq!(rows, [(0, 3), (3, 3), (6, 1)]);
        assert_eq!(parts.iter().map(|p| p.work).sum::<u64>(), 700);
        assert_eq!(parts[0].clone().split(10_000).len(), 1);
    }
}
