from catloader.cli import main

main(prog_name="catloader")
