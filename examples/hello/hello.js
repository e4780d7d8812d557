function main(args) {
    const name = args.name || 'stranger';
    console.log('greeting', name); // a line of the activation's log
    return { greeting: `Hello, ${name}!` };
}
