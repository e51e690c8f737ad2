"""Makes a Llama of random weights, with a tokenizer trained here. Usage: tiny_model.py FOLDER

Its weights spread wider than a new model's, so that what it says follows from the prompt and does not repeat one word.
"""

# mypy: ignore-errors
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

folder = Path(sys.argv[1])
words = Tokenizer(models.BPE(unk_token="<unk>"))
words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
words.decoder = decoders.ByteLevel()
alphabet = pre_tokenizers.ByteLevel.alphabet()
trainer = trainers.BpeTrainer(
    vocab_size=2048, special_tokens=["<unk>", "<s>", "</s>"], initial_alphabet=alphabet
)
words.train_from_iterator([str(dir(torch)), str(dir(torch.nn))], trainer)
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=words, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
)
tokenizer.save_pretrained(folder)
torch.manual_seed(7)
config = LlamaConfig(
    vocab_size=len(tokenizer),
    hidden_size=256,
    intermediate_size=512,
    num_hidden_layers=4,
    num_attention_heads=8,
    num_key_value_heads=8,
    max_position_embeddings=2048,
    initializer_range=0.2,
    bos_token_id=1,
    eos_token_id=2,
)
LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
