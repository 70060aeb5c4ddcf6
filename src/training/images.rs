//! The pictures of a data set where the device can reach them: resident as bytes when they fit, else streamed.

use crate::gpu::{Buffer, Gpu, GpuError};

/// Pictures as `[N,H,W,4]` bytes with their labels.
///
/// When all of them fit one binding (and the caller's budget, and the device's memory) they are uploaded once. Otherwise each batch is written to
/// a slot before its step; the steps under way are bounded by the ring of read-backs, and with them the memory. Either
/// way the kernels see the same bytes, so the results are the same.
pub struct Images {
    gpu: Gpu,
    buffer: Buffer,
    labels: Vec<u32>,
    image_bytes: usize,
    /// The bytes on the host, when they did not fit the device.
    streamed: Option<Vec<u8>>,
    slot: Vec<u8>,
}

impl Images {
    /// Uploads the pictures, or keeps them for streaming, `batch` at a time.
    ///
    /// # Errors
    /// [`GpuError::OutOfMemory`], [`GpuError::TooLarge`].
    pub fn new(
        gpu: &Gpu,
        bytes: Vec<u8>,
        labels: Vec<u32>,
        batch: usize,
        budget: Option<u64>,
    ) -> Result<Images, GpuError> {
        let image_bytes = bytes.len() / labels.len().max(1);
        let room = gpu.max_tensor_bytes().min(budget.unwrap_or(u64::MAX));
        let fits = bytes.len() as u64 <= room;
        let (buffer, streamed) = match fits.then(|| gpu.buffer_with("the pictures", &bytes)) {
            Some(Ok(buffer)) => (buffer, None),
            None | Some(Err(GpuError::OutOfMemory { .. })) => {
                (gpu.buffer("a batch of pictures", (batch * image_bytes) as u64)?, Some(bytes))
            }
            Some(Err(error)) => return Err(error),
        };
        Ok(Images { gpu: gpu.clone(), buffer, labels, image_bytes, streamed, slot: Vec::new() })
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Whether the device holds all of them.
    pub fn are_resident(&self) -> bool {
        self.streamed.is_none()
    }

    /// The buffer that plans gather from.
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// The classes, one a picture.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Makes these pictures reachable for the next submission; returns the number of each in the buffer.
    pub fn stage(&mut self, indices: &[usize]) -> Vec<u32> {
        let Some(bytes) = &self.streamed else {
            return indices.iter().map(|&i| i as u32).collect();
        };
        self.slot.clear();
        for &index in indices {
            self.slot.extend_from_slice(&bytes[index * self.image_bytes..(index + 1) * self.image_bytes]);
        }
        self.gpu.write(&self.buffer, &self.slot);
        (0..indices.len() as u32).collect()
    }
}
