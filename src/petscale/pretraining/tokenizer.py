"""Word-level tokenizers of the mini family, one in the style of T5 and one in that of BERT.

Both are ordinary `tokenizer.json` files. Text is lower-cased and split at spaces and punctuation; decoding joins the
words with spaces.
"""

from __future__ import annotations

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from petscale.families.family import Form
from petscale.mini.words import vocabulary

SENTINELS = 20
"""Number of sentinels of the T5 style; a document of 40 tokens needs fewer."""


def _words(first: list[str], last: list[str], unknown: str) -> Tokenizer:
    ids = {token: index for index, token in enumerate([*first, *vocabulary(), *last])}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=unknown))
    # Special tokens are matched in the text before it is lower-cased: "[SEP]" must not become the word "[sep]".
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in [*first, *last]])
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(r"[.,:;?!]"), "isolated")]
    )
    return tokenizer


def t5_tokenizer() -> PreTrainedTokenizerFast:
    """The T5-style tokenizer: `<pad>` 0, `</s>` 1, `<unk>` 2, words, sentinels; it appends `</s>`."""
    sentinels = [f"<extra_id_{index}>" for index in range(SENTINELS)]
    tokenizer = _words(["<pad>", "</s>", "<unk>"], sentinels, "<unk>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=sentinels,
        model_input_names=["input_ids", "attention_mask"],
        model_max_length=512,
        clean_up_tokenization_spaces=False,
    )


def bert_tokenizer() -> PreTrainedTokenizerFast:
    """The BERT-style tokenizer: `[PAD]` 0, `[CLS]` 1, `[SEP]` 2, `[MASK]` 3, `[UNK]` 4, words; token types 0 and 1."""
    special = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"]
    tokenizer = _words(special, [], "[UNK]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        unk_token="[UNK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        model_max_length=64,
        clean_up_tokenization_spaces=False,
    )


def new_tokenizer(form: Form) -> PreTrainedTokenizerFast:
    """The tokenizer for a form of model."""
    return {Form.ENCODER_DECODER: t5_tokenizer, Form.ENCODER: bert_tokenizer}[form]()
