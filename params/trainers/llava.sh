{# LLaVA's own script, started in its checkout. In the experiment's YAML:
     fine_tune:
       trainer: command
       command: bash {config}
       command_config: params/trainers/llava.sh
       command_folder: PATH OF THE LLaVA CHECKOUT
   LLaVA writes a format of its own, which transformers does not load: the last command has to turn it into that of the
   student (llava-hf/…) in the folder below, which step 1 then loads. #}
set -euo pipefail
trained={{ shell(output) }}.llava
deepspeed llava/train/train_mem.py \
    --deepspeed scripts/zero3.json \
{% if method == "lora" %}
    --lora_enable True --lora_r {{ lora_rank }} --lora_alpha {{ 2 * lora_rank }} --mm_projector_lr 2e-5 \
{% endif %}
    --model_name_or_path liuhaotian/llava-v1.5-7b \
    --version v1 \
    --data_path {{ shell(data) }} \
    --image_folder {{ shell(image_root) }} \
    --vision_tower openai/clip-vit-large-patch14-336 \
    --mm_projector_type mlp2x_gelu \
    --mm_vision_select_layer -2 \
    --image_aspect_ratio pad \
    --group_by_modality_length True \
    --bf16 True \
    --output_dir "$trained" \
    --num_train_epochs 1 \
    --per_device_train_batch_size {{ [batch_size // accumulate, 1] | max }} \
    --gradient_accumulation_steps {{ accumulate }} \
    --learning_rate {{ learning_rate }} \
    --lr_scheduler_type {{ "constant_with_warmup" if scheduler == "constant" else scheduler }} \
    --warmup_ratio {{ warmup }} --weight_decay {{ weight_decay }} \
    --seed {{ seed }} \
    --logging_steps 1 \
    --save_strategy steps --save_steps 500 --save_total_limit 1 \
    --model_max_length 2048 \
    --gradient_checkpointing True \
    --lazy_preprocess True \
    --report_to none
# the conversion, a script of yours: reads "$trained", writes config.json, weights and processor
python convert_to_hf.py "$trained" {{ shell(output) }}
