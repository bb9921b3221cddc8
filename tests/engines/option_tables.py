"""Which flags and keys the engines take, transcribed from their sources. Nothing here was asked of a running engine.

- trtllm-serve 1.2: tensorrt_llm/commands/serve.py, the options of ``serve``; tests/unittest/api_stability/references/
  llm.yaml and references_committed/llm.yaml, the arguments of LLM; tensorrt_llm/llmapi/llm_args.py, the nested models.
- trtllm-serve main (2026): tests/unittest/api_stability/references/trtllm_serve_cli.yaml, and
  tensorrt_llm/usage/llm_args_golden_manifest.json with the free-form fields of TorchLlmArgs' documentation.
- vllm serve: the arguments that vllm/engine/arg_utils.py and the FrontendArgs of cli_args.py add in both 0.20.2 and
  0.33.0. A switch also takes its name with no- in front.
"""

from __future__ import annotations

from collections.abc import Mapping


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TRTLLM_FLAGS: Mapping[str, frozenset[str]] = {
    "1.2": _words(
        """
        tokenizer custom_tokenizer host port backend custom_module_dirs log_level max_beam_width max_batch_size
        max_num_tokens max_seq_len tensor_parallel_size tp_size pipeline_parallel_size pp_size context_parallel_size
        cp_size moe_expert_parallel_size ep_size moe_cluster_parallel_size cluster_size gpus_per_node
        free_gpu_memory_fraction kv_cache_free_gpu_memory_fraction num_postprocess_workers trust_remote_code revision
        config extra_llm_api_options reasoning_parser tool_parser metadata_server_config_file server_role
        fail_fast_on_attention_window_too_large otlp_traces_endpoint disagg_cluster_uri enable_chunked_prefill
        media_io_kwargs chat_template
        """
    ),
    "main": _words(
        """
        agent_percentage agent_types allow_request_chat_template backend chat_template context_parallel_size cp_size
        custom_module_dirs custom_tokenizer disagg_cluster_uri enable_attention_dp enable_chunked_prefill
        enable_visual_gen config extra_llm_api_options fail_fast_on_attention_window_too_large
        free_gpu_memory_fraction kv_cache_free_gpu_memory_fraction generation-config gpus_per_node grpc host
        kv_cache_dtype log_level max_batch_size max_beam_width max_num_tokens max_seq_len media_io_kwargs
        metadata_server_config_file middleware cluster_size moe_cluster_parallel_size ep_size
        moe_expert_parallel_size num_postprocess_workers num_serve_frontends num_input_processor_workers
        num_media_load_workers otlp_traces_endpoint pipeline_parallel_size pp_size port post_processor_hook
        reasoning_parser report_addr hf_revision revision served_model_name server_role no-telemetry telemetry
        tensor_parallel_size tp_size tokenizer tool_parser trust_remote_code video_pruning_rate visual_gen_args
        """
    ),
}

TRTLLM_KEYS: Mapping[str, frozenset[str]] = {
    "1.2": _words(
        """
        model tokenizer tokenizer_mode skip_tokenizer_init trust_remote_code tensor_parallel_size dtype revision
        tokenizer_revision pipeline_parallel_size context_parallel_size moe_tensor_parallel_size
        moe_expert_parallel_size enable_lora lora_config batched_logits_processor guided_decoding_backend
        speculative_config max_batch_size max_input_len max_seq_len max_beam_width max_num_tokens load_format
        enable_chunked_prefill kv_cache_config stream_interval gpus_per_node moe_cluster_parallel_size
        enable_attention_dp cp_config iter_stats_max_iterations request_stats_max_iterations return_perf_metrics
        peft_cache_config scheduler_config cache_transceiver_config gather_generation_logits num_postprocess_workers
        postprocess_tokenizer_dir reasoning_parser fail_fast_on_attention_window_too_large
        garbage_collection_gen0_threshold backend build_config cuda_graph_config attention_dp_config
        checkpoint_loader checkpoint_format mm_encoder_only disable_overlap_scheduler moe_config attn_backend
        sampler_type enable_iter_perf_stats enable_iter_req_stats batch_wait_timeout_ms batch_wait_timeout_iters
        batch_wait_max_tokens_ratio print_iter_log perf_metrics_max_requests torch_compile_config enable_autotuner
        enable_layerwise_nvtx_marker enable_min_latency force_dynamic_quantization allreduce_strategy
        decoding_config kv_connector_config enable_lm_head_tp_in_adp orchestrator_type sparse_attention_config
        ray_worker_extension_cls
        """
    ),
    "main": _words(
        """
        model tokenizer tokenizer_mode custom_tokenizer post_processor_hook skip_tokenizer_init trust_remote_code
        tensor_parallel_size dtype revision tokenizer_revision model_kwargs pipeline_parallel_size
        context_parallel_size gpus_per_node moe_cluster_parallel_size moe_tensor_parallel_size
        moe_expert_parallel_size enable_attention_dp enable_lm_head_tp_in_adp pp_partition cp_config load_format
        enable_lora lora_config kv_cache_config enable_chunked_prefill guided_decoding_backend
        batched_logits_processor iter_stats_max_iterations allreduce_strategy attention_dp_config attn_backend
        backend batch_wait_max_tokens_ratio batch_wait_timeout_iters batch_wait_timeout_ms cache_transceiver_config
        checkpoint_io_policy cuda_graph_config disable_mm_encoder disable_overlap_scheduler dwdp_config
        enable_autotuner enable_early_first_token_response enable_encoder_decoder_mixed_cuda_graph
        enable_energy_metrics enable_in_graph_sampling enable_iter_perf_stats enable_iter_req_stats
        enable_layerwise_nvtx_marker enable_low_latency_host_dispatch enable_min_latency enable_mla_skip_correction
        enable_resource_governor enable_speculative_beam_history_d2h encode_only encoder_cuda_graph_config
        encoder_max_batch_size encoder_max_num_tokens force_dynamic_quantization garbage_collection_gen0_threshold
        gather_generation_logits generation_config gms_config kv_cache_compression_config kv_connector_config
        layer_wise_benchmarks_config max_batch_size max_beam_width max_input_len max_num_tokens max_seq_len
        max_stats_len mla_skip_correction_threshold mm_encoder_only moe_config multimodal_config mx_config
        num_postprocess_workers num_serve_frontends nvfp4_gemm_config orchestrator_type peft_cache_config
        perf_metrics_max_requests prefill_capture_num_tokens prefill_cuda_graph_backend print_iter_log
        prometheus_metrics_config ray_placement_config reasoning_parser reorder_policy_config
        request_stats_max_iterations return_perf_metrics sampler_force_async_worker scheduler_config
        sparse_attention_config speculative_config stream_interval telemetry_config torch_compile_config
        use_cute_dsl_bf16_bmm use_cute_dsl_bf16_gemm use_cute_dsl_blockscaling_bmm use_cute_dsl_blockscaling_mm
        use_fine_grained_sync
        """
    ),
}

TRTLLM_NESTED: Mapping[str, Mapping[str, frozenset[str]]] = {
    "1.2": {
        "attention_dp_config": _words("enable_balance timeout_iters batching_wait_iters"),
        "cuda_graph_config": _words("batch_sizes max_batch_size enable_padding"),
        "kv_cache_config": _words(
            """
            enable_block_reuse max_tokens max_attention_window sink_token_length free_gpu_memory_fraction
            host_cache_size onboard_blocks cross_kv_cache_fraction secondary_offload_min_priority
            event_buffer_max_size attention_dp_events_gather_period_ms enable_partial_reuse copy_on_partial_reuse
            use_uvm max_gpu_total_bytes dtype mamba_ssm_cache_dtype tokens_per_block
            """
        ),
        "moe_config": _words(
            "backend max_num_tokens load_balancer disable_finalize_fusion use_low_precision_moe_combine"
        ),
    },
    "main": {
        "attention_dp_config": _words(
            """
            batching_wait_iters enable_balance enable_kv_cache_aware_routing kv_cache_routing_account_for_in_transfer
            kv_cache_routing_cold_start_warmup kv_cache_routing_conversation_affinity
            kv_cache_routing_fair_share_multiplier kv_cache_routing_load_balance_weight
            kv_cache_routing_match_rate_threshold kv_cache_routing_max_sessions kv_cache_routing_new_conv_placement
            timeout_iters
            """
        ),
        "cuda_graph_config": _words(
            "batch_sizes enable_padding max_batch_size max_num_token max_seq_len mode num_tokens seq_lens"
        ),
        "kv_cache_config": _words(
            """
            attention_dp_events_gather_period_ms avg_seq_len block_reuse_config copy_on_partial_reuse
            cross_kv_cache_fraction disk_cache_size disk_cache_path disk_prefetch_num_reqs dtype enable_block_reuse
            enable_kv_pool_rebalance enable_partial_reuse enable_swa_scratch_reuse event_buffer_max_size
            fp8_context_mla_kv_len_cap free_gpu_memory_fraction host_cache_size iteration_stats_interval
            kv_cache_event_hash_algo kv_events_config kv_pool_rebalance_check_interval
            kv_pool_rebalance_cooldown_secs kv_pool_rebalance_min_sampled_kv_caches
            kv_pool_rebalance_moving_average_decay kv_pool_rebalance_ratio_threshold
            kv_pool_rebalance_target_ratio_update_interval mamba_ssm_cache_dtype mamba_ssm_philox_rounds
            mamba_ssm_stochastic_rounding mamba_state_cache_interval mamba_state_config max_attention_window
            max_gpu_total_bytes max_tokens max_util_for_resume pool_ratio secondary_offload_min_priority
            sink_token_length tokens_per_block use_kv_cache_manager_v2 use_uvm
            """
        ),
        "moe_config": _words(
            "backend max_num_tokens load_balancer disable_finalize_fusion use_low_precision_moe_combine"
        ),
    },
}

TRTLLM_MOE_BACKENDS: Mapping[str, frozenset[str]] = {
    "1.2": _words("AUTO CUTLASS CUTEDSL WIDEEP TRTLLM DEEPGEMM VANILLA TRITON"),
    "main": _words(
        "AUTO CUTLASS CUTEDSL TRTLLM DEEPGEMM DENSEGEMM VANILLA TRITON MARLIN MEGAMOE_DEEPGEMM MEGAMOE_CUTEDSL"
    ),
}

VLLM_FLAGS: frozenset[str] = _words(
    """
    additional-config aggregate-engine-logging all2all-backend allow-credentials allow-deprecated-quantization
    allowed-headers allowed-local-media-path allowed-media-domains allowed-methods allowed-origins api-key
    api-server-count async-scheduling attention-backend attention-config block-size chat-template
    chat-template-content-format code-revision collect-detailed-traces compilation-config config config-format
    convert cp-kv-cache-interleave-size cpu-offload-gb cpu-offload-params cudagraph-capture-sizes cudagraph-metrics
    data-parallel-address data-parallel-backend data-parallel-external-lb data-parallel-hybrid-lb data-parallel-rank
    data-parallel-rpc-port data-parallel-size data-parallel-size-local data-parallel-start-rank
    dbo-decode-token-threshold dbo-prefill-token-threshold dcp-comm-backend dcp-kv-cache-interleave-size
    decode-context-parallel-size default-chat-template-kwargs default-mm-loras disable-access-log-for-endpoints
    disable-cascade-attn disable-chunked-mm-input disable-custom-all-reduce disable-fastapi-docs
    disable-hybrid-kv-cache-manager disable-log-stats disable-nccl-for-dp-synchronization disable-sliding-window
    disable-uvicorn-access-log distributed-executor-backend distributed-timeout-seconds download-dir dtype
    ec-transfer-config enable-auto-tool-choice enable-chunked-prefill enable-dbo enable-elastic-ep
    enable-ep-weight-filter enable-eplb enable-expert-parallel enable-flash-late-interaction
    enable-flashinfer-autotune enable-force-include-usage enable-layerwise-nvtx-tracing enable-log-deltas
    enable-log-outputs enable-log-requests enable-logging-iteration-details enable-lora
    enable-mamba-cache-stochastic-rounding enable-mfu-metrics enable-mm-embeds enable-offline-docs
    enable-prefix-caching enable-prompt-embeds enable-prompt-tokens-details enable-request-id-headers
    enable-return-routed-experts enable-server-load-tracking enable-sleep-mode enable-ssl-refresh
    enable-tokenizer-info-endpoint enable-tower-connector-lora enforce-eager eplb-config
    exclude-tools-when-tool-choice-none expert-placement-strategy fail-on-environ-validation fully-sharded-loras
    gdn-prefill-backend generation-config gpu-memory-utilization grpc h11-max-header-count
    h11-max-incomplete-event-size headless hf-config-path hf-overrides hf-token host ignore-patterns
    interleave-mm-strings io-processor-plugin ir-op-priority kernel-config kv-cache-dtype kv-cache-dtype-skip-layers
    kv-cache-memory-bytes kv-cache-metrics kv-cache-metrics-sample kv-events-config kv-offloading-backend
    kv-offloading-size kv-sharing-fast-prefill kv-transfer-config language-model-only limit-mm-per-prompt
    load-format log-config-file log-error-stack logits-processors logprobs-mode long-prefill-token-threshold
    lora-dtype lora-modules lora-target-modules mamba-backend mamba-block-size mamba-cache-dtype mamba-cache-mode
    mamba-cache-philox-rounds mamba-ssm-cache-dtype master-addr master-port max-cpu-loras max-cudagraph-capture-size
    max-log-len max-logprobs max-lora-rank max-loras max-model-len max-num-batched-tokens max-num-seqs
    max-parallel-loading-workers media-io-kwargs middleware mm-encoder-attn-backend mm-encoder-only
    mm-encoder-tp-mode mm-processor-cache-gb mm-processor-cache-type mm-processor-kwargs
    mm-shm-cache-max-object-size-mb mm-tensor-ipc model model-impl model-loader-extra-config moe-backend nnodes
    node-rank num-gpu-blocks-override numa-bind numa-bind-cpus numa-bind-nodes offload-backend offload-group-size
    offload-num-in-group offload-params offload-prefetch-step optimization-level otlp-traces-endpoint
    override-generation-config performance-mode pipeline-parallel-size pooler-config port
    prefill-context-parallel-size prefix-caching-hash-algo profiler-config pt-load-map-location quantization
    ray-workers-use-nsight reasoning-config reasoning-parser reasoning-parser-plugin renderer-num-workers
    response-role return-tokens-as-token-ids revision root-path runner safetensors-load-strategy scheduler-cls
    scheduler-reserve-full-isl scheduling-policy seed served-model-name show-hidden-metrics-for-version
    shutdown-timeout skip-mm-profiling skip-tokenizer-init specialize-active-lora speculative-config ssl-ca-certs
    ssl-cert-reqs ssl-certfile ssl-ciphers ssl-keyfile stream-interval structured-outputs-config
    tensor-parallel-size tokenizer tokenizer-mode tokenizer-revision tokens-only tool-call-parser tool-parser-plugin
    tool-server trust-remote-code trust-request-chat-template ubatch-size uds use-tqdm-on-load uvicorn-log-level
    video-pruning-rate weight-transfer-config worker-cls worker-extension-cls
    """
)
