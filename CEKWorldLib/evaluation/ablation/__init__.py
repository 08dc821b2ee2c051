"""The ablation: what each part of the method is worth, trained and measured from one command."""
