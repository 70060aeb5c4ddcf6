//! Memory on the device, and the parameter structs that shaders read from it.

use super::{Gpu, GpuError};

/// Bytes that may wait to be copied to the device: as long as they do, the driver keeps them a second time.
pub(crate) const MOST_WAITING: usize = 8 << 20;

/// A piece of device memory that kernels bind. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Buffer {
    raw: wgpu::Buffer,
    offset: u64,
    bytes: u64,
}

impl Buffer {
    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A part of it, `bytes` from `offset` on: a multiple of 256, where any adapter lets a binding begin.
    pub fn part(&self, offset: u64, bytes: u64) -> Buffer {
        debug_assert!(
            offset.is_multiple_of(256) && offset + bytes <= self.bytes,
            "{bytes} from {offset} of {}",
            self.bytes
        );
        Buffer { raw: self.raw.clone(), offset: self.offset + offset, bytes }
    }

    /// Where it begins in the buffer of wgpu.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn raw(&self) -> &wgpu::Buffer {
        &self.raw
    }
}

impl Gpu {
    /// Makes a zeroed storage buffer.
    ///
    /// # Errors
    /// [`GpuError::TooLarge`] beyond the adapter's limit of a binding, [`GpuError::OutOfMemory`].
    pub fn buffer(&self, label: &str, bytes: u64) -> Result<Buffer, GpuError> {
        use wgpu::BufferUsages as Usage;
        self.allocate(label, bytes, Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST)
    }

    /// Makes a storage buffer that holds `data`.
    ///
    /// # Errors
    /// As [`Gpu::buffer`].
    pub fn buffer_with<T: bytemuck::NoUninit>(&self, label: &str, data: &[T]) -> Result<Buffer, GpuError> {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        let buffer = self.buffer(label, bytes.len() as u64)?;
        for (index, piece) in bytes.chunks(MOST_WAITING).enumerate() {
            if index > 0 {
                self.flush()?;
            }
            self.write_at(&buffer, (index * MOST_WAITING) as u64, piece);
        }
        Ok(buffer)
    }

    /// Makes a uniform buffer that holds the struct.
    ///
    /// # Errors
    /// [`GpuError::OutOfMemory`].
    pub fn uniform<T: UniformStruct>(&self, value: &T) -> Result<Buffer, GpuError> {
        use wgpu::BufferUsages as Usage;
        let bytes = bytemuck::bytes_of(value);
        let buffer = self.allocate(T::NAME, bytes.len() as u64, Usage::UNIFORM | Usage::COPY_DST)?;
        self.write(&buffer, bytes);
        Ok(buffer)
    }

    fn allocate(&self, label: &str, bytes: u64, usage: wgpu::BufferUsages) -> Result<Buffer, GpuError> {
        // A binding is never empty, and its size is a multiple of 16 for the vec4s that most kernels read.
        let size = bytes.max(1).next_multiple_of(16);
        let limit = self.max_tensor_bytes();
        if size > limit {
            let adapter = self.summary().name.clone();
            return Err(GpuError::TooLarge { label: label.to_owned(), bytes: size, limit, adapter });
        }
        Ok(Buffer { raw: self.create(label, size, usage)?, offset: 0, bytes: size })
    }

    /// Makes a buffer of wgpu.
    ///
    /// # Errors
    /// [`GpuError::OutOfMemory`].
    pub(super) fn create(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer, GpuError> {
        let scope = self.device().push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        let raw = self.device().create_buffer(&descriptor);
        if pollster::block_on(scope.pop()).is_some() {
            let adapter = self.summary().name.clone();
            return Err(GpuError::OutOfMemory { label: label.to_owned(), bytes: size, adapter });
        }
        Ok(raw)
    }
}

/// A struct that a shader reads as a uniform: its members are held against the shader's when a kernel binds it.
pub trait UniformStruct: bytemuck::Pod {
    /// The struct's name in WGSL.
    const NAME: &'static str;
    /// Name and offset in bytes of every member.
    const MEMBERS: &'static [(&'static str, usize)];
}

/// Declares a struct of `u32` and `f32` members that Rust and WGSL share, with its [`UniformStruct`].
macro_rules! uniform_struct {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $member:ident : $kind:ty),+ $(,)? }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct $name { $($(#[$doc])* pub $member: $kind),+ }
        impl $crate::gpu::UniformStruct for $name {
            const NAME: &'static str = stringify!($name);
            const MEMBERS: &'static [(&'static str, usize)] =
                &[$((stringify!($member), std::mem::offset_of!($name, $member))),+];
        }
    };
}
pub(crate) use uniform_struct;
