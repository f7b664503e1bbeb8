"""An example of each command, as its help shows it."""

from __future__ import annotations

EXAMPLES = {
    "run": "ptsel run pipeline.yaml --dry-run",
    "example-data": "ptsel example-data speech",
    "convert": "ptsel convert ~/recordings data --skip-bad --split-long 20",
    "manifest": "ptsel manifest ~/flac_16khz --out data",
    "classes": "ptsel classes data --from-folders 1 --out speaker.tsv",
    "check": "ptsel check data --classes speaker.tsv",
    "recipe": "ptsel recipe pretraining/tiny --out tiny.yaml",
    "labels": "ptsel labels f0 loudness chroma --plot hello.wav --out labels.png",
    "extract": "ptsel extract data --labels zaiem_speech loudness log_mel --store store",
    "score": "ptsel score data --store store --classes speaker.tsv --out ci",
    "select": "ptsel select ci --method direct --support 4 --out weights.yaml --config tiny.yaml",
    "report": "ptsel report ci --weights weights.yaml --out report.html",
    "estimate": "ptsel estimate tiny.yaml distributed_training.distributed_world_size=8 --store store",
    "export": "ptsel export run/checkpoint_last.pt --out wav2vec2.pt",
    "plot": "ptsel plot run --out losses.png",
    "user-dir": 'fairseq-hydra-train common.user_dir="$(ptsel user-dir)" ...',
    "prepare": "ptsel prepare librispeech ~/LibriSpeech data",
    "fetch": "ptsel fetch fish-fillets data",
    "align": "ptsel align data --out classes",
    "frequent": "ptsel frequent classes/word.tsv --out classes/frequent.tsv",
    "decode": "ptsel decode data --model finetune/checkpoint_best.pt --out decoded",
    "probe-asr": "ptsel probe-asr data --features mfcc wav2vec2.pt --out probe",
    "verify": "ptsel verify data --trials veri_test.txt --features wav2vec2.pt --out verified",
    "targets": "ptsel targets data --classes speaker.tsv",
    "probe": "ptsel probe data --classes speaker.tsv --features mfcc wav2vec2.pt --out probe",
    "evaluate": "ptsel evaluate asr --reference test.txt --hypothesis answers.txt --out result.json",
    "compare": "ptsel compare a/result.json b/result.json --out comparison.md",
    "completion": "ptsel completion bash > ~/.local/share/bash-completion/completions/ptsel",
}
