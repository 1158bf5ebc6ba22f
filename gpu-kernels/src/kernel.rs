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
}
