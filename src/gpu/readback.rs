//! Bringing results back without stalling the device: a ring of mapped buffers.

use std::collections::VecDeque;
use std::ops::Range;

use futures_intrusive::channel::shared::{OneshotReceiver, oneshot_channel};

use super::{Buffer, Gpu, GpuError};

type Mapped = OneshotReceiver<Result<(), wgpu::BufferAsyncError>>;

/// A copy that was submitted.
struct UnderWay {
    buffer: wgpu::Buffer,
    submission: wgpu::SubmissionIndex,
    mapped: Mapped,
}

/// Copies stretches of one buffer after each submission and hands the copies over in order, as they arrive.
///
/// At most `depth` copies are under way: a further submission first waits for the oldest, so that the host never runs
/// more than that many steps ahead of the device.
pub struct Readback {
    source: Buffer,
    stretches: Vec<Range<u64>>,
    idle: Vec<wgpu::Buffer>,
    recorded: Option<wgpu::Buffer>,
    under_way: VecDeque<UnderWay>,
    arrived: VecDeque<Vec<u8>>,
}

impl Readback {
    /// A ring of `depth` copies of the first `bytes` of `source` (rounded up to four).
    ///
    /// # Errors
    /// [`GpuError::OutOfMemory`].
    pub fn new(gpu: &Gpu, source: &Buffer, bytes: u64, depth: usize) -> Result<Readback, GpuError> {
        let whole = 0..bytes.next_multiple_of(4).min(source.bytes());
        Readback::of(gpu, source, std::slice::from_ref(&whole), depth)
    }

    /// A ring of `depth` copies of stretches of `source`, one behind the other; they begin and end at multiples of four.
    fn of(gpu: &Gpu, source: &Buffer, stretches: &[Range<u64>], depth: usize) -> Result<Readback, GpuError> {
        let bytes = stretches.iter().map(|stretch| stretch.end - stretch.start).sum();
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let idle = (0..depth).map(|_| gpu.create("results", bytes, usage)).collect::<Result<_, _>>()?;
        gpu.check_fault()?;
        Ok(Readback {
            source: source.clone(),
            stretches: stretches.to_vec(),
            idle,
            recorded: None,
            under_way: VecDeque::new(),
            arrived: VecDeque::new(),
        })
    }

    /// Records the copy, after waiting for the oldest one if all buffers are under way.
    pub(super) fn copy(&mut self, gpu: &Gpu, encoder: &mut wgpu::CommandEncoder) -> Result<(), GpuError> {
        let buffer = match self.idle.pop() {
            Some(buffer) => buffer,
            None => {
                self.wait_for_oldest(gpu)?;
                self.collect(gpu, true)?;
                self.idle.pop().ok_or_else(|| gpu.failure("a result never arrived".to_owned()))?
            }
        };
        let mut at = 0;
        for stretch in &self.stretches {
            let bytes = stretch.end - stretch.start;
            encoder.copy_buffer_to_buffer(self.source.raw(), self.source.offset() + stretch.start, &buffer, at, bytes);
            at += bytes;
        }
        self.recorded = Some(buffer);
        Ok(())
    }

    /// Waits for the oldest copy under way alone: the device goes on with those behind it meanwhile.
    fn wait_for_oldest(&self, gpu: &Gpu) -> Result<(), GpuError> {
        self.under_way.front().map_or(Ok(()), |oldest| gpu.wait_for(&oldest.submission))
    }

    /// Asks for the recorded copy, once it has been submitted.
    pub(super) fn map(&mut self, submission: &wgpu::SubmissionIndex) {
        let Some(buffer) = self.recorded.take() else { return };
        let (sender, receiver) = oneshot_channel();
        buffer.map_async(wgpu::MapMode::Read, .., move |result| {
            // The receiver is gone only when the ring was dropped: then nobody waits for the answer.
            let _ = sender.send(result);
        });
        self.under_way.push_back(UnderWay { buffer, submission: submission.clone(), mapped: receiver });
    }

    /// Takes in what has arrived; with `wait`, the oldest copy under way is waited for.
    fn collect(&mut self, gpu: &Gpu, wait: bool) -> Result<(), GpuError> {
        let mut must = wait;
        while let Some(UnderWay { mapped, .. }) = self.under_way.front() {
            let answer = if must {
                Some(pollster::block_on(mapped.receive()))
            } else {
                let mut future = std::pin::pin!(mapped.receive());
                let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                match std::future::Future::poll(future.as_mut(), &mut context) {
                    std::task::Poll::Ready(answer) => Some(answer),
                    std::task::Poll::Pending => None,
                }
            };
            let Some(answer) = answer else { break };
            must = false;
            answer
                .ok_or_else(|| gpu.failure("the device went away".to_owned()))?
                .map_err(|e| gpu.failure(e.to_string()))?;
            let Some(UnderWay { buffer, .. }) = self.under_way.pop_front() else { break };
            let view = buffer.get_mapped_range(..).map_err(|e| gpu.failure(e.to_string()))?;
            self.arrived.push_back(view.to_vec());
            drop(view);
            buffer.unmap();
            self.idle.push(buffer);
        }
        Ok(())
    }

    /// The results that have arrived by now, in the order of their submissions.
    ///
    /// # Errors
    /// [`GpuError::Lost`], [`GpuError::Device`].
    pub fn arrived(&mut self, gpu: &Gpu) -> Result<Vec<Vec<u8>>, GpuError> {
        gpu.poll()?;
        self.collect(gpu, false)?;
        Ok(self.arrived.drain(..).collect())
    }

    /// All results still outstanding, waited for.
    ///
    /// # Errors
    /// [`GpuError::Lost`], [`GpuError::Device`].
    pub fn finish(&mut self, gpu: &Gpu) -> Result<Vec<Vec<u8>>, GpuError> {
        gpu.wait()?;
        while !self.under_way.is_empty() {
            self.collect(gpu, true)?;
        }
        Ok(self.arrived.drain(..).collect())
    }
}

impl Gpu {
    /// Reads a whole buffer back, waiting for it.
    ///
    /// # Errors
    /// [`GpuError::Lost`], [`GpuError::Device`].
    pub fn read<T: bytemuck::Pod>(&self, buffer: &Buffer) -> Result<Vec<T>, GpuError> {
        let whole = 0..buffer.bytes();
        self.read_stretches(buffer, std::slice::from_ref(&whole))
    }

    /// Reads stretches of a buffer, in bytes, one behind the other. They begin and end at multiples of four.
    ///
    /// # Errors
    /// As [`Gpu::read`].
    pub fn read_stretches<T: bytemuck::Pod>(
        &self,
        buffer: &Buffer,
        stretches: &[Range<u64>],
    ) -> Result<Vec<T>, GpuError> {
        let mut readback = Readback::of(self, buffer, stretches, 1)?;
        super::Plan::new().submit(self, &mut [&mut readback])?;
        let mut results = readback.finish(self)?;
        let bytes = results.pop().ok_or_else(|| self.failure("a result never arrived".to_owned()))?;
        Ok(bytemuck::pod_collect_to_vec(&bytes))
    }
}
