//! What each dispatch of a plan takes on the device's own clock.

use super::{Gpu, GpuError, Plan};

/// Timestamps that a query set holds, and two for each dispatch.
const MOST_DISPATCHES: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;

impl Gpu {
    /// Whether the device can tell the time between dispatches.
    pub fn has_timestamps(&self) -> bool {
        self.device().features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }
}

impl Plan {
    /// Runs the plan once, each dispatch in a pass of its own between two timestamps, and gives the seconds that each took;
    /// `None` if the device has no timestamps, or the plan more dispatches than it can time.
    ///
    /// # Errors
    /// As [`Plan::submit`].
    pub fn time(&self, gpu: &Gpu) -> Result<Option<Vec<f64>>, GpuError> {
        if !gpu.has_timestamps() || self.dispatches().len() > MOST_DISPATCHES {
            return Ok(None);
        }
        let count = 2 * self.dispatches().len().max(1) as u32;
        let queries = gpu.device().create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("timestamps"),
            ty: wgpu::QueryType::Timestamp,
            count,
        });
        use wgpu::BufferUsages as Usage;
        let bytes = u64::from(count) * u64::from(wgpu::QUERY_SIZE);
        let resolved = gpu.create("timestamps", bytes, Usage::QUERY_RESOLVE | Usage::COPY_SRC)?;
        let mapped = gpu.create("timestamps", bytes, Usage::MAP_READ | Usage::COPY_DST)?;
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
        for (index, dispatch) in self.dispatches().iter().enumerate() {
            let first = 2 * index as u32;
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                    query_set: &queries,
                    beginning_of_pass_write_index: Some(first),
                    end_of_pass_write_index: Some(first + 1),
                }),
            });
            dispatch.encode(&mut pass);
        }
        encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
        encoder.copy_buffer_to_buffer(&resolved, 0, &mapped, 0, bytes);
        gpu.queue().submit([encoder.finish()]);
        mapped.map_async(wgpu::MapMode::Read, .., |_| {});
        gpu.wait()?;
        let view = mapped.get_mapped_range(..).map_err(|e| gpu.failure(e.to_string()))?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&view);
        let period = f64::from(gpu.queue().get_timestamp_period()) * 1e-9;
        Ok(Some(ticks.chunks_exact(2).map(|pair| pair[1].saturating_sub(pair[0]) as f64 * period).collect()))
    }
}
